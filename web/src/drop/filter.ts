// The question that the table of files asks: it lives in the address, and under a name where it is kept.

import type { DropFileState, DropFileType } from "./types";

export interface Filter {
  q: string;
  states: DropFileState[];
  folder: string;
  type: "" | DropFileType;
  ending: string;
  reason: string;
  from: string; // day, as 2026-11-22
  to: string;
}

export const nothing: Filter = { q: "", states: [], folder: "", type: "", ending: "", reason: "", from: "", to: "" };

export const typeNames: Record<string, string> = {
  media: "Media",
  manifest: "Manifests",
};

const names = ["q", "state", "folder", "type", "ending", "reason", "from", "to"] as const;
const day = /^\d{4}-\d\d-\d\d$/;

/** Reads the address; what it cannot mean counts as absent. */
export function readFilter(s: URLSearchParams, states: readonly DropFileState[]): Filter {
  const type = s.get("type") ?? "";
  const date = (name: string) => (day.test(s.get(name) ?? "") ? s.get(name)! : "");
  return {
    q: (s.get("q") ?? "").slice(0, 200),
    states: (s.get("state") ?? "")
      .split(",")
      .filter((x): x is DropFileState => (states as readonly string[]).includes(x)),
    folder: (s.get("folder") ?? "").slice(0, 100),
    type: Object.hasOwn(typeNames, type) ? (type as Filter["type"]) : "",
    ending: (s.get("ending") ?? "").slice(0, 20),
    reason: (s.get("reason") ?? "").slice(0, 100),
    from: date("from"),
    to: date("to"),
  };
}

/** The parameters of an address; null removes one. */
export function filterParams(f: Filter): Record<(typeof names)[number], string | null> {
  return {
    q: f.q || null,
    state: f.states.join(",") || null,
    folder: f.folder || null,
    type: f.type || null,
    ending: f.ending || null,
    reason: f.reason || null,
    from: f.from || null,
    to: f.to || null,
  };
}

export const narrowed = (f: Filter): boolean => Object.values(filterParams(f)).some((v) => v !== null);

/** The first moment of a day of the reader, `plus` days later. */
export function momentOf(date: string, plus = 0): string | undefined {
  if (!day.test(date)) return undefined;
  const [y, m, d] = date.split("-").map(Number);
  const at = new Date(y!, m! - 1, d! + plus);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** For the API. */
export function filterQuery(f: Filter) {
  return {
    q: f.q.trim() || undefined,
    state: f.states.length ? f.states : undefined,
    folder: f.folder || undefined,
    type: f.type || undefined,
    ending: f.ending.trim().replace(/^\./, "") || undefined,
    reason: f.reason || undefined,
    from: momentOf(f.from),
    to: momentOf(f.to, 1),
  };
}

/** A filter that has a name. */
export interface View {
  name: string;
  address: string; // the parameters, as "state=quarantined&folder=…"
}

const MOST = 20;

function stored<T>(key: string, otherwise: T): T {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") ?? otherwise;
  } catch {
    return otherwise;
  }
}

function store(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Private windows may refuse; then it lasts as long as the page.
  }
}

/** The saved views of a hub, in this browser. */
export function views(hub: string): View[] {
  const all = stored<unknown>(`drop-views/${hub}`, []);
  if (!Array.isArray(all)) return [];
  return all.filter((v) => typeof v?.name === "string" && typeof v?.address === "string").slice(0, MOST);
}

/** Keeps a filter under a name; one with the same name is replaced. */
export function withView(all: View[], name: string, f: Filter): View[] {
  const address = addressOf(f);
  return [...all.filter((v) => v.name !== name), { name, address }].slice(-MOST);
}

export function keepViews(hub: string, all: View[]): void {
  store(`drop-views/${hub}`, all);
}

/** A filter as parameters of an address, always in the same order. */
export function addressOf(f: Filter): string {
  const set = Object.entries(filterParams(f)).filter((e): e is [string, string] => e[1] !== null);
  return new URLSearchParams(set).toString();
}

export const sizes = [25, 50, 100] as const;

export function pageSize(): number {
  const n = stored<unknown>("drop-page-size", 25);
  return sizes.find((s) => s === n) ?? 25;
}

export function keepPageSize(n: number): void {
  store("drop-page-size", n);
}
