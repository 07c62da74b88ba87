// The hub's transfer account as a form: what was typed, what is wrong with it, what is sent.
import type { Problem, TransferAccount, TransferAccountPatch, TransferPolicy } from "../api";
import { bits } from "../format";
import { type Day, hoursWords, policyNames } from "./words";

export interface HoursDraft {
  id: number;
  days: Day[];
  from: string;
  to: string;
  cap: string;
}
export type Weights = Record<keyof TransferAccount["weights"], string>;
export interface AccountDraft {
  cap: string; // Mbit/s, empty = none
  rate: string; // of one transfer
  policies: TransferPolicy[];
  policy: TransferPolicy;
  schedule: HoursDraft[];
  zone: string;
  weights: Weights;
}
/** Where something is wrong: a field's name, or `hours-<id>-<field>`. */
export type AccountProblems = Record<string, string>;

/** bit/s as people type it; empty for none. */
export const mbit = (bps?: number) => (bps ? String(bps / 1e6) : "");

let ids = 0;
/** Working hours, as a line to begin with. */
export const newHours = (): HoursDraft => ({
  id: ++ids,
  days: ["mon", "tue", "wed", "thu", "fri"],
  from: "08:00",
  to: "18:00",
  cap: "",
});

export function accountDraft(a: TransferAccount): AccountDraft {
  return {
    cap: mbit(a.cap_bps),
    rate: mbit(a.max_rate_bps),
    policies: a.policies,
    policy: a.default_policy,
    schedule: a.schedule.map((h) => ({ id: ++ids, days: h.days, from: h.from, to: h.to, cap: mbit(h.cap_bps) })),
    zone: a.time_zone,
    weights: {
      admin: String(a.weights.admin),
      content_admin: String(a.weights.content_admin),
      participant: String(a.weights.participant),
      app: String(a.weights.app),
    },
  };
}

/** Mbit/s as typed → bit/s; 0 for nothing, NaN for what is no rate. */
export function rateTyped(text: string): number {
  const t = text.trim().replace(",", ".");
  if (t === "") return 0;
  return /^\d{1,6}(\.\d{1,3})?$/.test(t) ? Math.round(Number(t) * 1e6) : Number.NaN;
}

const wrongRate = "A number of Mbit/s, like 100 or 2.5, or empty for no limit.";

export function checkAccount(d: AccountDraft): AccountProblems {
  const p: AccountProblems = {};
  if (Number.isNaN(rateTyped(d.cap))) p.cap = wrongRate;
  if (Number.isNaN(rateTyped(d.rate))) p.rate = wrongRate;
  if (d.policies.length === 0) p.policies = "Allow at least one.";
  else if (!d.policies.includes(d.policy)) p.policy = "People must be allowed to choose what is used by itself.";
  for (const h of d.schedule) {
    if (h.days.length === 0) p[`hours-${h.id}-days`] = "Choose at least one day.";
    if (!h.from) p[`hours-${h.id}-from`] = "Say when it begins.";
    if (!h.to) p[`hours-${h.id}-to`] = "Say when it ends.";
    if (Number.isNaN(rateTyped(h.cap))) p[`hours-${h.id}-cap`] = wrongRate;
  }
  for (const [who, w] of Object.entries(d.weights)) {
    if (!/^\d{1,3}$/.test(w.trim()) || Number(w) < 1 || Number(w) > 100)
      p[`weights-${who}`] = "A whole number from 1 to 100.";
  }
  return p;
}

export function accountBody(d: AccountDraft): TransferAccountPatch {
  return {
    cap_bps: rateTyped(d.cap),
    max_rate_bps: rateTyped(d.rate),
    policies: d.policies,
    default_policy: d.policy,
    schedule: d.schedule.map((h) => ({ days: h.days, from: h.from, to: h.to, cap_bps: rateTyped(h.cap) })),
    time_zone: d.zone,
    weights: {
      admin: Number(d.weights.admin),
      content_admin: Number(d.weights.content_admin),
      participant: Number(d.weights.participant),
      app: Number(d.weights.app),
    },
  };
}

/** What was changed of an account: only that is sent, so that nobody else's change is undone unseen. */
export function accountChanges(d: AccountDraft, account: TransferAccount): TransferAccountPatch {
  const was = accountBody(accountDraft(account));
  return Object.fromEntries(
    Object.entries(accountBody(d)).filter(([k, v]) => !same(v, was[k as keyof TransferAccountPatch])),
  );
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** An account as it would be with a change. */
export const withChanges = (a: TransferAccount, c: TransferAccountPatch): TransferAccount => ({ ...a, ...c });

export interface Difference {
  name: string;
  mine: string;
  theirs: string;
}

const limit = (bps?: number) => (bps ? bits(bps) : "none");
const told: { [K in keyof TransferAccountPatch]-?: [string, (v: NonNullable<TransferAccountPatch[K]>) => string] } = {
  cap_bps: ["Cap of the hub", limit],
  max_rate_bps: ["Most for one transfer", limit],
  policies: ["What people may choose", (v) => v.map((p) => policyNames[p]).join(", ")],
  default_policy: ["Used when nothing is chosen", (v) => policyNames[v]],
  schedule: ["Other caps", (v) => v.map(hoursWords).join("; ") || "none"],
  time_zone: ["Time zone", (v) => v],
  weights: [
    "Shares",
    (v) => `Admins ${v.admin}, content admins ${v.content_admin}, participants ${v.participant}, apps ${v.app}`,
  ],
};

/** Where a change of ours and what somebody else saved meanwhile are not the same. */
export function differences(mine: TransferAccountPatch, theirs: TransferAccount): Difference[] {
  const now = accountBody(accountDraft(theirs));
  return (Object.keys(told) as (keyof TransferAccountPatch)[])
    .filter((k) => mine[k] !== undefined && !same(mine[k], now[k]))
    .map((k) => {
      const [name, words] = told[k] as [string, (v: unknown) => string];
      return { name, mine: words(mine[k]), theirs: words(now[k]) };
    });
}

const pointers: Record<string, string> = {
  "/cap_bps": "cap",
  "/max_rate_bps": "rate",
  "/policies": "policies",
  "/default_policy": "policy",
  "/time_zone": "zone",
};

/** The server's answer at the field that it is about. */
export function accountProblems(p: Pick<Problem, "fields">, d: AccountDraft): AccountProblems {
  const out: AccountProblems = {};
  for (const f of p.fields) {
    const key = pointers[f.pointer];
    const hours = /^\/schedule\/(\d+)(?:\/(days|from|to|cap))?/.exec(f.pointer);
    const weight = /^\/weights\/(\w+)/.exec(f.pointer);
    if (key) out[key] = f.detail;
    else if (weight) out[`weights-${weight[1]}`] = f.detail;
    else if (hours && d.schedule[Number(hours[1])])
      out[`hours-${d.schedule[Number(hours[1])]!.id}-${hours[2] ?? "days"}`] = f.detail;
  }
  return out;
}
