// Policy and rate of a transfer, as chosen.
import type { TransferPolicy } from "../api";
import { rateTyped } from "./account";

/** How a transfer is to go, as chosen: empty = as the hub says, as fast as it goes. */
export interface Speed {
  policy: TransferPolicy | "";
  rate: string; // Mbit/s as typed
}

export const asTheHubSays: Speed = { policy: "", rate: "" };

/** The least that the API takes. */
const LEAST = 8000;

/** What is wrong with the rate. */
export function speedProblem(s: Speed): string | undefined {
  const rate = rateTyped(s.rate);
  if (Number.isNaN(rate) || (rate > 0 && rate < LEAST)) return "A number of Mbit/s, like 20 or 2.5, or empty.";
  if (s.policy === "fixed" && rate === 0) return "Fixed needs a rate.";
  return undefined;
}

/** For the API, which leaves out what is as ever. */
export function speedBody(s: Speed): { policy?: TransferPolicy; rate_bps?: number } {
  return { policy: s.policy || undefined, rate_bps: rateTyped(s.rate) || undefined };
}
