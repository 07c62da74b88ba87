import { here, navigate } from "../router";

/** The parts of a search that live in the address, so that reload and back keep them. */
export interface Ask {
  q: string;
  type: string;
  is360: boolean;
  mine: boolean;
  status: string;
  since: string; // days
  sort: string;
}

export const sorts: Record<string, string> = {
  "-created": "Newest first",
  created: "Oldest first",
  name: "By name",
  "-duration": "Longest first",
  "-updated": "Last changed",
};
export const ages: Record<string, string> = {
  "1": "Last 24 hours",
  "7": "Last 7 days",
  "31": "Last month",
  "366": "Last year",
};
export const types: Record<string, string> = { video: "Video", image: "Picture", audio: "Sound" };
export const states: Record<string, string> = { ready: "Ready", processing: "Processing", failed: "Failed" };

const known = (table: Record<string, string>, v: string | null) => (v && Object.hasOwn(table, v) ? v : "");

/** Reads the address; unknown values count as absent. */
export function readAsk(s: URLSearchParams): Ask {
  return {
    q: (s.get("q") ?? "").slice(0, 200),
    type: known(types, s.get("type")),
    is360: s.get("is_360") === "1",
    mine: s.get("mine") === "1",
    status: known(states, s.get("status")),
    since: known(ages, s.get("since")),
    sort: known(sorts, s.get("sort")) || "-created",
  };
}

/** Whether anything narrows the list. */
export function narrowed(a: Ask): boolean {
  return !!(a.q || a.type || a.is360 || a.mine || a.status || a.since);
}

/** The moment `days` days before `now`, cut to the hour so that the same question stays the same. */
export function createdAfter(days: string, now: number): string | undefined {
  if (!days) return undefined;
  const hour = 3_600_000;
  return new Date(Math.floor((now - Number(days) * 24 * hour) / hour) * hour).toISOString();
}

/** Changes parameters of the address; null removes one. */
export function setParams(change: Record<string, string | null>, push = false): void {
  const url = new URL(here.peek());
  for (const [k, v] of Object.entries(change)) {
    if (v === null || v === "") url.searchParams.delete(k);
    else url.searchParams.set(k, v);
  }
  navigate(url.href, !push);
}
