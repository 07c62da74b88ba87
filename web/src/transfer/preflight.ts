// The list before the start: what was chosen, what is wrong with it, how it will be called.
import type { Transfer, Upload, UploadInput } from "../api";
import { bytes, when } from "../format";
import { sameBytes } from "../upload/fingerprint";
import type { Item } from "../upload/machine";
import { litter } from "./tree";

export interface Row {
  id: number;
  file: File;
  folder: string;
  title: string; // empty: as the file is called
  tags: string; // separated by commas
  description: string;
  mark: string; // fingerprint; empty until the file was read
  refused: string; // what the server said against it
}

export type Tone = "reading" | "ok" | "warn" | "bad";
export interface Check {
  tone: Tone;
  text: string;
  continues?: Upload; // the unfinished upload that it goes on with
}

/** What a file is called once it is an entry, unless somebody says otherwise: as the server does it. */
export function titleOf(name: string): string {
  const clean = name
    .normalize("NFC")
    .replace(/[\t\n\r]/g, " ")
    .replace(/[\p{Cc}\p{Bidi_Control}\u200b\u2060\ufeff\u2028\u2029\ufffd]/gu, "")
    .split(/\s+/u)
    .filter(Boolean)
    .join(" ");
  const dot = clean.lastIndexOf(".");
  return dot > 0 && /^[A-Za-z0-9]{1,8}$/.test(clean.slice(dot + 1)) ? clean.slice(0, dot) : clean;
}

/** Whether a name holds characters that cannot be seen or turn others around. */
export const hidesSomething = (name: string) =>
  /[\p{Cc}\p{Bidi_Control}\u200b\u2060\ufeff\u2028\u2029\ufffd]/u.test(name);

/** The kind of a file in words, as the browser guesses it. */
export function kindOf(file: File): string {
  const main = file.type.split("/")[0];
  if (main === "video") return "Video";
  if (main === "image") return "Picture";
  if (main === "audio") return "Sound";
  return "Other";
}

/**
 * Looks at every row. `items` are the uploads of this page, `known` those that the server lists,
 * `free` the bytes that the hub has room for. Rows that are `bad` are left out of the start.
 */
export function checks(
  rows: Row[],
  items: Item[],
  known: Upload[],
  free = Number.POSITIVE_INFINITY,
): Map<number, Check> {
  let room = free;
  const out = new Map<number, Check>();
  const seen = new Map<string, Row>(); // by size and hash
  const body = (mark: string) =>
    mark
      .split(":")
      .filter((_, i) => i === 1 || i === 3)
      .join(":");
  const byBody = new Map<string, Upload>();
  // Newest first: the first one found stays; one that can go on beats one that is over.
  for (const u of [...items.flatMap((i) => (i.upload ? [i.upload] : [])), ...known]) {
    const key = u.fingerprint ? body(u.fingerprint) : "";
    if (key && (!byBody.has(key) || (u.state === "receiving" && byBody.get(key)!.state !== "receiving")))
      byBody.set(key, u);
  }
  const running = new Set(items.filter((i) => i.hasFile && i.phase !== "failed").map((i) => i.id));
  for (const r of rows) {
    const c = check(r);
    const taken = c.continues || !["ok", "warn"].includes(c.tone) ? 0 : r.file.size;
    if (taken <= room) {
      room -= taken;
      out.set(r.id, c);
    } else out.set(r.id, { tone: "bad", text: `The hub's quota has no room for it: ${bytes(room)} are left.` });
  }
  return out;

  function check(r: Row): Check {
    if (r.file.size === 0) return { tone: "bad", text: "It is empty." };
    if (r.refused) return { tone: "bad", text: r.refused };
    if (!r.mark) return { tone: "reading", text: "Reading" };
    const key = body(r.mark);
    const twin = seen.get(key);
    if (twin) return { tone: "bad", text: `The same file as “${twin.file.name}” above.` };
    seen.set(key, r);
    const before = byBody.get(key);
    if (before?.fingerprint && sameBytes(r.mark, before.fingerprint)) {
      if (running.has(before.id) && before.state === "receiving")
        return { tone: "bad", text: "It is being sent already." };
      if (before.state === "receiving")
        return {
          tone: "ok",
          text: `Goes on where it stopped: ${bytes(before.offset)} of ${bytes(before.size)} are there.`,
          continues: before,
        };
      if (["ingesting", "processing", "ready"].includes(before.state))
        return { tone: "warn", text: `Was sent on ${when(before.created_at)}. It would be there twice.` };
    }
    if (hidesSomething(r.file.name))
      return { tone: "warn", text: "Its name holds characters that cannot be seen; the title leaves them out." };
    if (kindOf(r.file) === "Other") return { tone: "warn", text: "Looks like no video, picture or sound." };
    return { tone: "ok", text: "" };
  }
}

/** Tags as typed: separated by commas, each once. */
export function tagsOf(text: string): string[] {
  return [...new Set(text.split(",").map((t) => t.trim()))].filter(Boolean);
}

/** A title made of a pattern: {name} is the file's own, {n} its number. */
export function titled(pattern: string, name: string, n: number): string {
  return pattern.replaceAll("{name}", titleOf(name)).replaceAll("{n}", String(n));
}

/** What is announced for a row. */
export function inputOf(r: Row): UploadInput {
  const tags = tagsOf(r.tags);
  return {
    name: r.file.name,
    size: r.file.size,
    content_type: r.file.type || undefined,
    fingerprint: r.mark,
    title: r.title.trim() || undefined,
    description: r.description.trim() || undefined,
    tags: tags.length ? tags : undefined,
  };
}

/** Rows without what systems leave in folders, and how many of those there were. */
export function withoutLitter<T extends { file: File; folder: string }>(found: T[]): { kept: T[]; dropped: number } {
  const kept = found.filter((f) => !litter(f.file.name, f.folder));
  return { kept, dropped: found.length - kept.length };
}

/** Where the server's refusal of a batch points: the index of the file or upload. */
export function pointedAt(pointer: string): { list: "files" | "upload_ids"; index: number } | null {
  const m = /^\/(files|upload_ids)\/(\d+)/.exec(pointer);
  return m ? { list: m[1] as "files" | "upload_ids", index: Number(m[2]) } : null;
}

/** Whether a transfer is of interest on the page: it runs, or ended a moment ago. */
export const lively = (t: Transfer, now: number) => t.state === "open" || now - Date.parse(t.updated_at) < 60_000;
