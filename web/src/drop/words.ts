// States, settings and Kaltura's own words, for people.
import { bytes } from "../format";
import type { DropFileState } from "./types";

type Tone = "" | "ok" | "warn" | "bad" | "accent";

/** Each state: its name, its tone, and what it means. */
export const states: Record<DropFileState, [name: string, tone: Tone, meaning: string]> = {
  detected: ["Detected", "", "It was seen. It is not known yet whether it is whole."],
  uploading: ["Uploading", "accent", "It is still being sent or written. Nothing is taken before it is whole."],
  pending: ["Next", "accent", "It is whole and its turn comes."],
  waiting: ["Waiting", "warn", "It waits for other files, which are named."],
  no_match: ["No entry yet", "warn", "It waits for an entry with its reference id."],
  parsed: ["Expected", "warn", "A manifest names it, and it is not here yet."],
  importing: ["Importing", "accent", "Its bytes are being taken and handed over to Kaltura."],
  processing: ["Processing", "accent", "The entry exists and is being made playable."],
  ready: ["Ready", "ok", "Its entry is ready."],
  deletion_due: ["Ready, will be deleted", "ok", "Its entry is ready; the file itself is deleted at the time shown."],
  deleted: ["Deleted", "", "The file was deleted here, after its entry was made or by hand."],
  gone: ["Gone", "", "Somebody else removed the file from its folder."],
  ignored: ["Ignored", "", "The folder's rules leave it alone."],
  quarantined: ["Quarantined", "bad", "It cannot go on by itself. The reason says what to do."],
};

export const stateName = (s: string): string => states[s as DropFileState]?.[0] ?? s.replaceAll("_", " ");
export const stateTone = (s: string): Tone => states[s as DropFileState]?.[1] ?? "";
export const stateMeaning = (s: string): string => states[s as DropFileState]?.[2] ?? "";

/** In the order in which a file goes through them. */
export const stateOrder = Object.keys(states) as DropFileState[];

/** Nothing more happens by itself. */
export const over = (s: string): boolean => ["ready", "deleted", "gone", "ignored", "quarantined"].includes(s);

/** Groups of counts on a folder's card: what people ask for first. */
export const groups: [name: string, states: DropFileState[], tone: Tone][] = [
  ["under way", ["detected", "uploading", "pending", "importing", "processing"], "accent"],
  ["waiting", ["waiting", "no_match", "parsed"], "warn"],
  ["quarantined", ["quarantined"], "bad"],
  ["ready", ["ready", "deletion_due"], "ok"],
  ["deleted or gone", ["deleted", "gone", "ignored"], ""],
];

export const sourceNames: Record<string, string> = {
  uploads: "Uploads",
  directory: "Watched directory",
  bucket: "S3 bucket",
};

export const sourceWords: Record<string, string> = {
  uploads: "Files are sent from this page, by isthmusctl or through the API. Ready at once.",
  directory: "A directory of the server, into which SFTP, Aspera or a network drive may write.",
  bucket: "A prefix in an S3-compatible store. Objects there are always whole.",
};

export const handlerNames: Record<string, string> = {
  content: "Media only",
  xml: "Only what manifests name",
  both: "Media, and what manifests name",
};

export const handlerWords: Record<string, string> = {
  both: "A file that no manifest names becomes an entry by itself.",
  content: "Each file becomes an entry; manifests are refused.",
  xml: "Files wait for the XML, JSON or CSV that names them.",
};

export const matchNames: Record<string, string> = {
  add: "Always make a new entry",
  match_or_add: "Replace the entry with its reference id, else make a new one",
  match_or_wait: "Replace the entry with its reference id, else wait for one",
};

export const deleteNames: Record<string, string> = {
  manual: "Never by itself",
  when_ready: "As soon as the entry is ready and was verified",
  after_days: "Some days after the entry is ready",
};

/** What a group of quarantined files is called. Reasons that are not here are shown as they are. */
const reasonNames: Record<string, string> = {
  entry_update_failed: "The entry could not be changed",
  entry_add_failed: "The entry could not be made",
  flavor_unknown: "Renditions that are not known",
  slug_no_match: "Names that the expression does not fit",
  file_unreadable: "Files that cannot be read",
  fetch_failed: "Files that could not be fetched",
  replacement_not_approved: "The new content waits for approval in Kaltura",
  work_not_started: "The work could not be begun",
  conversion_failed: "Kaltura could not make them playable",
  delete_failed: "Files that could not be deleted",
  no_entry: "No entry has their reference id",
  no_manifest: "No manifest names them",
  orphan_manifest: "Manifests whose files did not come",
  file_size_differs: "Another size than the manifest says",
  file_checksum_differs: "Another digest than the manifest says",
  staging_failed: "The server could not store them",
  items_not_started: "Manifests whose items could not be begun",
  items_failed: "Manifests with items that failed",
  manifest_malformed: "Manifests with mistakes",
  content_failed: "The content could not be given to the entry",
  manifest_too_large: "Manifests that are too large",
  name_twin: "Two names that look the same",
  name_not_utf8: "Names that cannot be read",
  name_too_long: "Names that are too long",
  empty_file: "Empty files",
  type_not_accepted: "Types that are not accepted",
};

/** What helps against a reason, the first before the others. */
export type Fix = "retry" | "take" | "reprocess" | "match" | "validate" | "folder" | "delete";

const fixes: Record<string, Fix[]> = {
  slug_no_match: ["folder", "match", "retry", "delete"],
  flavor_unknown: ["folder", "retry", "delete"],
  no_entry: ["match", "take", "retry", "delete"],
  no_manifest: ["take", "retry", "delete"],
  orphan_manifest: ["retry", "take", "delete"],
  conversion_failed: ["reprocess", "retry", "delete"],
  entry_add_failed: ["retry", "reprocess", "delete"],
  entry_update_failed: ["retry", "match", "delete"],
  manifest_malformed: ["validate", "retry", "delete"],
  manifest_too_large: ["delete"],
  items_failed: ["validate", "retry", "delete"],
  name_twin: ["delete", "retry"],
  empty_file: ["delete", "retry"],
  type_not_accepted: ["delete", "retry"],
};

/** The fixes to offer for a file; media are never validated, manifests never matched. */
export function fixesOf(reason: string, manifest: boolean): Fix[] {
  const list = fixes[reason] ?? ["retry", "delete"];
  return list.filter((f) => (manifest ? f !== "match" && f !== "reprocess" && f !== "take" : f !== "validate"));
}

/** Kaltura's names of a file's status. */
const statuses: Record<number, string> = {
  1: "UPLOADING",
  2: "PENDING",
  3: "WAITING",
  4: "HANDLED",
  5: "IGNORE",
  6: "DELETED",
  7: "PURGED",
  8: "NO_MATCH",
  9: "ERROR_HANDLING",
  10: "ERROR_DELETING",
  11: "DOWNLOADING",
  12: "ERROR_DOWNLOADING",
  13: "PROCESSING",
  14: "PARSED",
  15: "DETECTED",
};

/** "9 ERROR_HANDLING, code 5", as it reads in Kaltura. */
export function kalturaWords(status: number, code = ""): string {
  return `${status} ${statuses[status] ?? "unknown"}${code ? `, code ${code}` : ""}`;
}

/** A group's name: as the server calls it, as we do, or at least readable. */
export function reasonName(reason: string, infos: { reason: string; title: string }[] = []): string {
  const known = reasonNames[reason] ?? infos.find((i) => i.reason === reason)?.title;
  if (known) return known;
  const words = reason.replaceAll("_", " ");
  return words ? words[0]!.toUpperCase() + words.slice(1) : "Other reasons";
}

const causes: Record<string, string> = {
  scan: "It was seen.",
  "scan.back": "It is there again.",
  "scan.gone": "It is not there any more.",
  "scan.changed": "Its content changed.",
  "scan.renamed": "It got its final name.",
  "scan.marker": "Its marker is there.",
  "scan.whole": "It is whole as it came.",
  "scan.stable": "It did not change for the time that the folder says.",
  "scan.manifest": "It did not change for a while.",
  "scan.named": "It has the size that its manifest says.",
  "upload.created": "It was announced.",
  "upload.finished": "All its bytes came.",
  "upload.failed": "Its upload failed.",
  "upload.retried": "Its upload goes on.",
  "upload.cancelled": "Its upload was cancelled.",
  "upload.expired": "Its upload was given up.",
  "upload.ready": "Its entry plays, with all its bytes.",
  import: "Its turn came.",
  "import.later": "Its bytes cannot be fetched now; it is tried again.",
  "import.same": "The same bytes became an entry before.",
  handle: "It cannot go on.",
  "entry.made": "Its entry was made.",
  match: "An entry was chosen by hand.",
  manifest: "A manifest names it.",
  "manifest.complete": "All that it names is here.",
  "manifest.incomplete": "Not all that it names is here.",
  "manifest.done": "Its manifest is done.",
  "manifest.refused": "Its manifest was refused.",
  "item.started": "An item of its manifest takes it.",
  "item.edited": "Its entry has its content.",
  "item.done": "Its item is done.",
  "item.failed": "Its item failed.",
  "items.done": "All its items were run.",
  "items.failed": "Items of it failed.",
  "wait.over": "It waited for as long as the folder says.",
  replaced: "Another content has taken its place.",
  "file.arrived": "What it waited for came.",
  retry: "Tried again by hand.",
  reprocess: "Imported once more, by hand.",
  take: "Taken as whole and by itself, by hand.",
  ignore: "Left alone, by hand.",
  keep: "Kept, by hand.",
  undo: "The deletion was taken back.",
  delete: "Deleted.",
  "delete.changed": "It changed, so it was not deleted.",
  "delete.unverified": "It could not be verified, so it was not deleted.",
  "folder.deleted": "Its folder was removed.",
  policy: "The folder deletes its files when they are done.",
};

/** What happened, by its cause, when the server gives no words of its own. */
export function causeWords(cause: string): string {
  if (causes[cause]) return causes[cause];
  const words = cause.replaceAll(/[._]/g, " ");
  return words ? words[0]!.toUpperCase() + words.slice(1) : "";
}

/** Time until something, by the second when it is near: "4:05", "3 h 12 min", "5 days". */
export function countdown(iso: string, now: number): string {
  const s = Math.ceil((Date.parse(iso) - now) / 1000);
  if (!(s > 0)) return "any moment";
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  const days = Math.floor(s / 86_400);
  const hours = Math.floor((s % 86_400) / 3600);
  return `${days} ${days === 1 ? "day" : "days"}${days < 7 && hours ? ` ${hours} h` : ""}`;
}

/** Some names in one line: "a.mp4, b.mp4 and 3 more". */
export function someNames(names: string[], most = 3): string {
  const clean = names.map((n) => (n.startsWith("entry:") ? `an entry with the reference id ${n.slice(6)}` : n));
  if (clean.length <= most) return clean.join(", ");
  return `${clean.slice(0, most).join(", ")} and ${clean.length - most} more`;
}

/** What changed among rows, in one sentence for those who listen; "" when nothing did. */
export function changeWords(
  before: ReadonlyMap<string, string>,
  after: { id: string; name: string; state: string }[],
): string {
  const changed = after.filter((f) => before.has(f.id) && before.get(f.id) !== f.state);
  if (changed.length === 0) return "";
  if (changed.length <= 2) return changed.map((f) => `${f.name}: ${stateName(f.state).toLowerCase()}.`).join(" ");
  const sums = new Map<string, number>();
  for (const f of changed) sums.set(f.state, (sums.get(f.state) ?? 0) + 1);
  const parts = [...sums].map(([s, n]) => `${n} ${stateName(s).toLowerCase()}`);
  return `${changed.length} files changed: ${parts.join(", ")}.`;
}

/** How much of an upload is here: "3.0 MB of 7.3 MB"; "" when it is not under way. */
export function receivedWords(f: { received?: number; size: number }): string {
  return f.received !== undefined && f.received < f.size ? `${bytes(f.received)} of ${bytes(f.size)}` : "";
}
