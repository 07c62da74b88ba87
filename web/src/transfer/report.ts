// Receipts as files for people's own records.
import type { Upload } from "../api";

/** What a file was, whereto, by whom and when. */
export function receiptOf(u: Upload, hub: string, sender: string) {
  const end = u.finished_at ?? "";
  return {
    upload_id: u.id,
    name: u.name,
    title: u.title,
    size: u.size,
    sha256: u.sha256 ?? "",
    state: u.state,
    entry_id: u.entry_id ?? "",
    hub,
    sender,
    device: u.device ?? "",
    begun_at: u.created_at,
    finished_at: end,
    seconds: end ? Math.max(0, Math.round((Date.parse(end) - Date.parse(u.created_at)) / 1000)) : 0,
  };
}

export type Receipt = ReturnType<typeof receiptOf>;

/** One cell. Spreadsheets run what begins like a formula, so such text gets an apostrophe before it. */
function cell(v: string | number): string {
  let s = String(v);
  if (typeof v === "string" && /^[=+\-@\t\r]/.test(s)) s = `'${s}`;
  return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
}

/** RFC 4180, with a byte order mark so that spreadsheets read it as UTF-8. */
export function csv(rows: Receipt[]): string {
  const first = rows[0];
  if (!first) return "";
  const lines = [Object.keys(first), ...rows.map((r) => Object.values(r))];
  return `\ufeff${lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("")}`;
}

/** Hands a text to the browser as a file. */
export function download(name: string, type: string, text: string): void {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([text], { type }));
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
}
