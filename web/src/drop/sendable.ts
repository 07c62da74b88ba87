// What of the chosen files is sent, and as what.
import type { UploadInput } from "../api";
import { type Found, litter } from "../transfer/tree";

/** What is announced for a file: its name keeps the folders in which it lay. */
export function announcedOf(f: Found, fingerprint: string): UploadInput {
  return {
    name: f.folder + f.file.name,
    size: f.file.size,
    content_type: f.file.type || undefined,
    fingerprint,
  };
}

/** What is worth sending, and how many files are not: what systems leave in folders, and what is empty. */
export function sendable(found: Found[]): { good: Found[]; litter: number; empty: number } {
  const kept = found.filter((f) => !litter(f.file.name, f.folder));
  const good = kept.filter((f) => f.file.size > 0);
  return { good, litter: found.length - kept.length, empty: kept.length - good.length };
}
