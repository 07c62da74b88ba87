// What an upload can be and what may happen to it. Pure: the queue carries out what this decides.
import type { Upload } from "../api";

export type Phase =
  | "queued" // waits for its turn
  | "preparing" // looking at the file, announcing it
  | "sending"
  | "paused"
  | "retrying" // waits for retryAt, or for the line to come back
  | "finishing" // all bytes are there; says so
  | "needs_file" // begun earlier; the file has to be chosen again
  | "server" // ours no more: the server checks and hands it on
  | "ready"
  | "failed" // only another decision of the person helps
  | "cancelled";

export interface Failure {
  message: string;
  nextStep: string;
  code: string;
  traceId?: string;
}

export interface Item {
  key: string;
  name: string;
  size: number;
  phase: Phase;
  sent: number; // bytes that the server has acknowledged or that are under way
  hashed: number; // bytes that were hashed
  digest: string; // SHA-256, once the whole file was read
  attempts: number; // failures in a row
  retryAt: number; // ms; 0 = as soon as the line is back
  failure: Failure | null;
  id: string; // the server's, once announced
  upload: Upload | null; // what the server last said
  hasFile: boolean;
  movedAt: number; // ms; when bytes were last seen to come from elsewhere, 0 = never
}

export type Happening =
  | { kind: "start" }
  | { kind: "announced"; upload: Upload }
  | { kind: "progress"; sent: number }
  | { kind: "hashed"; bytes: number }
  | { kind: "digest"; digest: string }
  | { kind: "sent" }
  | {
      kind: "broken";
      retryable: boolean;
      failure: Failure;
      now: number;
      jitter: number;
      offline: boolean;
      afterMs?: number; // the server said when: others have the line, which is no failure
    }
  | { kind: "due" } // the countdown ended, or the line is back
  | { kind: "hold" } // another file is sent first
  | { kind: "pause" }
  | { kind: "resume" }
  | { kind: "retry" }
  | { kind: "cancel" }
  | { kind: "file" } // the file was chosen again
  | { kind: "server"; upload: Upload; now?: number }; // now: it was told live

export function newItem(key: string, name: string, size: number): Item {
  return {
    key,
    name,
    size,
    phase: "queued",
    sent: 0,
    hashed: 0,
    digest: "",
    attempts: 0,
    retryAt: 0,
    failure: null,
    id: "",
    upload: null,
    hasFile: true,
    movedAt: 0,
  };
}

/** An item for an upload that the server knows and this page does not. */
export function fromServer(u: Upload): Item {
  const it = { ...newItem(u.id, u.name, u.size), id: u.id, upload: u, sent: u.offset, hasFile: false };
  return { ...it, phase: phaseOf(u, "needs_file"), failure: failureOf(u) };
}

/** Waiting time after the nth failure in a row: 1, 2, 4 … 60 s, spread by `jitter` (0..1). */
export function retryDelay(attempts: number, jitter: number): number {
  const base = Math.min(60_000, 1000 * 2 ** Math.max(0, attempts - 1));
  return Math.round(base * (0.75 + jitter / 2));
}

function failureOf(u: Upload): Failure | null {
  if (!u.error)
    return u.state === "expired"
      ? { code: "expired", message: "It expired.", nextStep: "Upload the file again." }
      : null;
  return { code: u.error.code, message: u.error.message, nextStep: u.error.next_step ?? "" };
}

function phaseOf(u: Upload, receiving: Phase): Phase {
  switch (u.state) {
    case "receiving":
      return receiving;
    case "ready":
      return "ready";
    case "failed":
    case "expired":
      return "failed";
    case "cancelled":
      return "cancelled";
    default:
      return "server"; // ingesting, processing, and whatever a newer server adds
  }
}

const ours: Phase[] = ["queued", "preparing", "sending", "retrying", "finishing"];

/** Whether an upload that lost its file here is being sent by another device or program. */
export function elsewhere(it: Item, now: number): boolean {
  return it.phase === "needs_file" && it.movedAt > 0 && now - it.movedAt < 10_000;
}

/** Whether leaving the page now would interrupt this upload. */
export function wouldBeLost(it: Item): boolean {
  return ours.includes(it.phase);
}

/** Whether nothing more happens by itself. */
export function over(it: Item): boolean {
  return it.phase === "ready" || it.phase === "failed" || it.phase === "cancelled";
}

/** The next state. What cannot happen in a phase changes nothing: late answers are harmless. */
export function next(it: Item, h: Happening): Item {
  switch (h.kind) {
    case "start":
      return it.phase === "queued" ? { ...it, phase: "preparing", failure: null } : it;
    case "announced": {
      if (it.phase !== "preparing") return { ...it, id: h.upload.id, upload: h.upload };
      return { ...it, id: h.upload.id, upload: h.upload, sent: h.upload.offset, phase: phaseOf(h.upload, "sending") };
    }
    case "progress":
      // Bytes went through, so the line works: the next failure counts as the first again.
      return it.phase === "sending" ? { ...it, sent: h.sent, attempts: h.sent > it.sent ? 0 : it.attempts } : it;
    case "hashed":
      return { ...it, hashed: h.bytes };
    case "digest":
      return { ...it, digest: h.digest, hashed: it.size };
    case "sent":
      return it.phase === "sending" ? { ...it, phase: "finishing", sent: it.size, attempts: 0 } : it;
    case "broken": {
      if (!ours.includes(it.phase)) return it;
      if (!h.retryable) return { ...it, phase: "failed", failure: h.failure };
      const attempts = it.attempts + (h.afterMs === undefined ? 1 : 0);
      const retryAt = h.offline ? 0 : h.now + (h.afterMs ?? retryDelay(attempts, h.jitter));
      return { ...it, phase: "retrying", attempts, retryAt, failure: h.failure };
    }
    case "due":
      return it.phase === "retrying" ? { ...it, phase: "queued", retryAt: 0 } : it;
    case "hold":
      return it.phase === "preparing" || it.phase === "sending" ? { ...it, phase: "queued" } : it;
    case "pause":
      return ["queued", "preparing", "sending", "retrying"].includes(it.phase)
        ? { ...it, phase: "paused", retryAt: 0, failure: null }
        : it;
    case "resume":
      return it.phase === "paused" ? { ...it, phase: "queued" } : it;
    case "retry":
      if (it.phase === "retrying") return { ...it, phase: "queued", retryAt: 0 };
      return it.phase === "failed" && it.hasFile ? { ...it, phase: "queued", failure: null, attempts: 0 } : it;
    case "cancel":
      return it.phase === "ready" ? it : { ...it, phase: "cancelled", failure: null };
    case "file":
      return it.phase === "needs_file" ? { ...it, phase: "queued", hasFile: true, failure: null } : it;
    case "server": {
      if (it.phase === "cancelled") return it;
      // While we send, our own count is ahead of what the server tells.
      const phase = phaseOf(h.upload, it.phase);
      const failure = phase === it.phase && it.phase !== "failed" ? it.failure : failureOf(h.upload);
      const moved = h.now !== undefined && phase === "needs_file" && h.upload.offset > it.sent;
      return {
        ...it,
        upload: h.upload,
        phase,
        failure,
        movedAt: moved ? h.now! : it.movedAt,
        sent: phase === it.phase && it.hasFile ? it.sent : h.upload.offset,
      };
    }
  }
}

/**
 * Which files begin now and which wait again, when `places` may be under way at a time. One that is
 * to be sent first has the line for itself, until all of its bytes are there or it gets stuck.
 */
export function turns(items: Item[], places: number, first: string): { start: Item[]; hold: Item[] } {
  const urgent = items.find((i) => i.key === first && ["queued", "preparing", "sending"].includes(i.phase));
  if (urgent) {
    const others = items.filter((i) => i !== urgent);
    return {
      start: urgent.phase === "queued" ? [urgent] : [],
      hold: others.filter((i) => i.phase === "preparing" || i.phase === "sending"),
    };
  }
  const active = items.filter((i) => ["preparing", "sending", "finishing"].includes(i.phase)).length;
  return { start: items.filter((i) => i.phase === "queued").slice(0, Math.max(0, places - active)), hold: [] };
}

export interface Total {
  files: number; // without cancelled ones
  left: number; // of them not yet uploaded
  failed: number;
  size: number; // bytes of what has not failed
  sent: number;
}

/** How far several files are together. */
export function total(items: Item[]): Total {
  const t = { files: 0, left: 0, failed: 0, size: 0, sent: 0 };
  for (const it of items) {
    if (it.phase === "cancelled") continue;
    t.files++;
    if (it.phase === "failed") {
      t.failed++;
      continue;
    }
    t.size += it.size;
    if (it.phase === "server" || it.phase === "ready") t.sent += it.size;
    else {
      t.left++;
      t.sent += it.sent;
    }
  }
  return t;
}

/** Quarters of the way (0..4), for announcements. */
export function quarter(done: number, total: number): number {
  return total > 0 ? Math.min(4, Math.floor((done / total) * 4)) : 0;
}
