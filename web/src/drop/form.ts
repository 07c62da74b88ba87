// A folder's settings as typed, and what of them the server is told.
import type { Problem } from "../api";
import { mbit, rateTyped } from "../transfer/account";
import { trySlug } from "./slug";
import type { DropFolder, DropFolderInput, DropFolderPatch } from "./types";

export interface Draft {
  name: string;
  description: string;
  source: DropFolder["source"];
  path: string;
  endpoint: string;
  region: string;
  bucket: string;
  keyId: string;
  secret: string;
  pathStyle: boolean;
  marker: string;
  rename: string;
  stable: string; // seconds
  handler: DropFolder["handler"];
  patterns: string; // separated by commas
  ignore: string;
  match: DropFolder["match"];
  slug: string;
  user: string;
  userFromPath: boolean;
  tags: string;
  tagsFromPath: boolean;
  category: string;
  categoryFromPath: boolean;
  profile: string;
  waitHours: string;
  delete: DropFolder["delete"];
  deleteDays: string;
  maxFiles: string;
  maxGB: string;
  policy: string;
  rate: string; // Mbit/s
}

export type DraftProblems = Partial<Record<keyof Draft, string>>;

const GB = 1e9;

/** What a new folder is, unless somebody says otherwise: a name is enough. */
export const fresh: Draft = {
  name: "",
  description: "",
  source: "uploads",
  path: "",
  endpoint: "",
  region: "",
  bucket: "",
  keyId: "",
  secret: "",
  pathStyle: false,
  marker: "",
  rename: "*.part",
  stable: "",
  handler: "both",
  patterns: "",
  ignore: "",
  match: "add",
  slug: "",
  user: "",
  userFromPath: false,
  tags: "",
  tagsFromPath: false,
  category: "",
  categoryFromPath: false,
  profile: "",
  waitHours: "72",
  delete: "manual",
  deleteDays: "30",
  maxFiles: "",
  maxGB: "",
  policy: "",
  rate: "",
};

const number = (n?: number) => (n ? String(n) : "");

export function draftOf(f: DropFolder): Draft {
  return {
    name: f.name,
    description: f.description,
    source: f.source,
    path: f.path,
    endpoint: f.bucket?.endpoint ?? "",
    region: f.bucket?.region ?? "",
    bucket: f.bucket?.name ?? "",
    keyId: f.bucket?.key_id ?? "",
    secret: "",
    pathStyle: f.bucket?.path_style ?? false,
    marker: f.complete.marker ?? "",
    rename: f.complete.rename ?? "",
    stable: number(f.complete.stable_seconds),
    handler: f.handler,
    patterns: f.patterns.join(", "),
    ignore: f.ignore.join(", "),
    match: f.match,
    slug: f.slug,
    user: f.origin.user_id ?? "",
    userFromPath: f.origin.user_from_path ?? false,
    tags: (f.origin.tags ?? []).join(", "),
    tagsFromPath: f.origin.tags_from_path ?? false,
    category: f.origin.category ?? "",
    categoryFromPath: f.origin.category_from_path ?? false,
    profile: number(f.origin.conversion_profile_id),
    waitHours: number(f.wait_hours),
    delete: f.delete,
    deleteDays: number(f.delete_days) || "30",
    maxFiles: number(f.max_files),
    maxGB: f.max_bytes ? String(f.max_bytes / GB) : "",
    policy: f.policy ?? "",
    rate: mbit(f.rate_bps),
  };
}

/** A list as typed, each once. */
export const listOf = (text: string): string[] => [...new Set(text.split(",").map((t) => t.trim()))].filter(Boolean);

/** A whole number as typed; empty is 0, anything else NaN. */
function whole(text: string): number {
  const t = text.trim();
  if (t === "") return 0;
  return /^\d{1,10}$/.test(t) ? Number(t) : Number.NaN;
}

function gigabytes(text: string): number {
  const t = text.trim().replace(",", ".");
  if (t === "") return 0;
  return /^\d{1,7}(\.\d{1,3})?$/.test(t) ? Math.round(Number(t) * GB) : Number.NaN;
}

/** What is wrong with what was typed. `known`: the folder has a secret already. */
export function checkDraft(d: Draft, known = false): DraftProblems {
  const p: DraftProblems = {};
  if (d.name.trim() === "") p.name = "Give it a name.";
  if (d.source === "directory" && d.path.trim() === "") p.path = "Say which directory, relative to the drop root.";
  if (/^\/|(^|\/)\.\.(\/|$)/.test(d.path.trim()))
    p.path = "A path below the root, without a slash before it and without “..”.";
  if (d.source === "bucket") {
    if (d.bucket.trim() === "") p.bucket = "Say which bucket.";
    if (d.endpoint.trim() && !/^https?:\/\/\S+$/.test(d.endpoint.trim()))
      p.endpoint = "An address that begins with https://.";
    if (d.keyId.trim() && !d.secret && !known) p.secret = "The key needs its secret.";
  }
  if (Number.isNaN(whole(d.stable))) p.stable = "A whole number of seconds, or empty for never.";
  if (d.slug.trim()) {
    const { problem } = trySlug(d.slug, "");
    if (problem) p.slug = problem;
  }
  if (Number.isNaN(whole(d.profile))) p.profile = "A number, or empty for the account's default.";
  const hours = whole(d.waitHours);
  if (!(hours >= 1 && hours <= 8760)) p.waitHours = "Between 1 and 8760 hours.";
  const days = whole(d.deleteDays);
  if (d.delete === "after_days" && !(days >= 1 && days <= 3650)) p.deleteDays = "Between 1 and 3650 days.";
  if (Number.isNaN(whole(d.maxFiles))) p.maxFiles = "A whole number, or empty for the hub's limit.";
  if (Number.isNaN(gigabytes(d.maxGB))) p.maxGB = "A number of gigabytes, or empty for no limit.";
  const rate = rateTyped(d.rate);
  if (Number.isNaN(rate) || (rate > 0 && rate < 8000)) p.rate = "A number of Mbit/s, like 20 or 2.5, or empty.";
  else if (d.policy === "fixed" && rate === 0) p.rate = "Fixed needs a rate.";
  return p;
}

/** Everything of a draft, as the API has it: what was taken away is said, because a merge keeps what it is not told of. */
function bodyOf(d: Draft) {
  return {
    name: d.name.trim(),
    description: d.description.trim(),
    path: d.path.trim(),
    bucket:
      d.source === "bucket"
        ? {
            name: d.bucket.trim(),
            endpoint: d.endpoint.trim(),
            region: d.region.trim(),
            key_id: d.keyId.trim(),
            path_style: d.pathStyle,
          }
        : undefined,
    bucket_secret: d.secret || undefined,
    complete: {
      marker: d.marker.trim(),
      rename: d.rename.trim(),
      stable_seconds: whole(d.stable),
    },
    handler: d.handler,
    patterns: listOf(d.patterns),
    ignore: listOf(d.ignore),
    match: d.match,
    slug: d.slug.trim(),
    origin: {
      user_id: d.user.trim(),
      user_from_path: d.userFromPath,
      tags: listOf(d.tags),
      tags_from_path: d.tagsFromPath,
      category: d.category.trim(),
      category_from_path: d.categoryFromPath,
      conversion_profile_id: whole(d.profile),
    },
    wait_hours: whole(d.waitHours),
    delete: d.delete,
    delete_days: d.delete === "after_days" ? whole(d.deleteDays) : 0,
    max_files: whole(d.maxFiles),
    max_bytes: gigabytes(d.maxGB),
    policy: d.policy as NonNullable<DropFolderPatch["policy"]>,
    rate_bps: rateTyped(d.rate),
  };
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
const without = (o: object, empty: (v: unknown) => boolean) =>
  Object.fromEntries(Object.entries(o).filter(([, v]) => !empty(v)));

/** For a new folder: what is as usual is left to the server. */
export function inputOf(d: Draft): DropFolderInput {
  const body = bodyOf(d);
  const usual = bodyOf(fresh);
  const out: Record<string, unknown> = { name: body.name, source: d.source };
  for (const [k, v] of Object.entries(body)) {
    if (v === undefined || same(v, usual[k as keyof typeof usual])) continue;
    const part = typeof v === "object" && !Array.isArray(v);
    out[k] = part ? without(v, (x) => !x || same(x, [])) : v;
  }
  // Uploads say themselves when they are whole, and so do objects of a bucket.
  if (d.source === "directory") out.complete = without(body.complete, (x) => !x);
  else delete out.complete;
  if (d.source === "uploads") delete out.path;
  return out as unknown as DropFolderInput;
}

/** What was changed: the rest stays as whoever saved it last wants it. */
export function patchOf(d: Draft, was: DropFolder): DropFolderPatch {
  const before: Record<string, unknown> = bodyOf(draftOf(was));
  const changed = Object.entries(bodyOf(d)).filter(([k, v]) => v !== undefined && !same(v, before[k]));
  return Object.fromEntries(changed) as DropFolderPatch;
}

/** A draft on another's folder: only the fields that this person changed are theirs. */
export function rebased(d: Draft, was: DropFolder, theirs: DropFolder): Draft {
  const mine = draftOf(was);
  const out: Record<string, unknown> = { ...draftOf(theirs) };
  for (const k of Object.keys(d) as (keyof Draft)[]) if (d[k] !== mine[k]) out[k] = d[k];
  return out as unknown as Draft;
}

export const labels: Record<keyof Draft, string> = {
  name: "Name",
  description: "Description",
  source: "Way in",
  path: "Path",
  endpoint: "Address of the store",
  region: "Region",
  bucket: "Bucket",
  keyId: "Key id",
  secret: "Secret key",
  pathStyle: "Bucket in the path",
  marker: "Marker",
  rename: "Temporary names",
  stable: "Unchanged for",
  handler: "What the files are",
  patterns: "Names to take",
  ignore: "Names to leave alone",
  match: "Entries that exist",
  slug: "Expression",
  user: "Owner",
  userFromPath: "Owner from the path",
  tags: "Tags",
  tagsFromPath: "Tags from the path",
  category: "Category",
  categoryFromPath: "Categories from the path",
  profile: "Conversion profile",
  waitHours: "Longest wait",
  delete: "Deletion",
  deleteDays: "Days until deletion",
  maxFiles: "Most files",
  maxGB: "Most gigabytes",
  policy: "Transfer policy",
  rate: "Transfer rate",
};

/** What both changed, to be shown side by side. */
export function clashes(
  d: Draft,
  was: DropFolder,
  theirs: DropFolder,
): { name: string; mine: string; theirs: string }[] {
  const before = draftOf(was);
  const now = draftOf(theirs);
  const say = (v: string | boolean) => (v === true ? "Yes" : v === false ? "No" : v || "Nothing");
  return (Object.keys(d) as (keyof Draft)[])
    .filter((k) => k !== "secret" && d[k] !== before[k] && d[k] !== now[k])
    .map((k) => ({ name: labels[k], mine: say(d[k]), theirs: say(now[k]) }));
}

const pointers: Record<string, keyof Draft> = {
  "/name": "name",
  "/description": "description",
  "/source": "source",
  "/path": "path",
  "/bucket": "bucket",
  "/bucket/name": "bucket",
  "/bucket/endpoint": "endpoint",
  "/bucket/region": "region",
  "/bucket/key_id": "keyId",
  "/bucket_secret": "secret",
  "/complete": "rename",
  "/complete/marker": "marker",
  "/complete/rename": "rename",
  "/complete/stable_seconds": "stable",
  "/handler": "handler",
  "/patterns": "patterns",
  "/ignore": "ignore",
  "/match": "match",
  "/slug": "slug",
  "/origin/user_id": "user",
  "/origin/tags": "tags",
  "/origin/category": "category",
  "/origin/conversion_profile_id": "profile",
  "/wait_hours": "waitHours",
  "/delete": "delete",
  "/delete_days": "deleteDays",
  "/max_files": "maxFiles",
  "/max_bytes": "maxGB",
  "/policy": "policy",
  "/rate_bps": "rate",
};

/** The server's answer at the fields that it is about. */
export function draftProblems(p: Pick<Problem, "fields">): DraftProblems {
  const out: DraftProblems = {};
  for (const f of p.fields) {
    const key = pointers[f.pointer.replace(/\/\d+$/, "")];
    if (key) out[key] = f.detail;
  }
  return out;
}
