import { say } from "../announce";
import { api, asProblem, call, idempotencyKey, type Problem } from "../api";
import { count } from "../format";
import { Act } from "../ui/parts";
import type { DropBulkResult, DropFile, DropFileAction, DropFileState, DropFileType } from "./types";

/** What the buttons of files tell the page. */
export interface Desk {
  hub: string;
  changed: (f: DropFile) => void;
  deleted: (files: { id: string; name: string; until?: string }[]) => void;
  failed: (p: Problem) => void;
  ask: (what: "match" | "reprocess" | "delete", f: DropFile) => void;
  check: (f: DropFile) => void; // opens a manifest in the validator
}

type Simple = "retry" | "take" | "ignore" | "undo" | "keep";

const simple: Record<Simple, { label: string; told: (f: DropFile) => string }> = {
  retry: { label: "Retry", told: (f) => `${f.name} is tried again.` },
  take: { label: "Take it now", told: (f) => `${f.name} is taken.` },
  ignore: { label: "Leave alone", told: (f) => `${f.name} is left alone.` },
  undo: { label: "Undo the deletion", told: (f) => `${f.name} is back.` },
  keep: { label: "Keep", told: (f) => (f.kept ? `${f.name} is kept.` : `${f.name} is left to its folder again.`) },
};

function ask(hub: string, f: DropFile, what: Simple): Promise<DropFile> {
  const params = { path: { hub, id: f.id }, header: { "Idempotency-Key": idempotencyKey() } };
  switch (what) {
    case "retry":
      return call(api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/retry", { params }));
    case "take":
      return call(api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/take", { params }));
    case "ignore":
      return call(api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/ignore", { params }));
    case "undo":
      return call(api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/undo", { params }));
    case "keep":
      return call(api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/keep", { params, body: { keep: !f.kept } }));
  }
}

/** One button of a file; nothing when that cannot be done with it now. */
export function FileAct({ f, what, desk }: { f: DropFile; what: DropFileAction | "validate"; desk: Desk }) {
  const named = (label: string) => `${label}: ${f.name}`;
  if (what === "validate") {
    return (
      <button type="button" class="btn small" aria-label={named("Open in the validator")} onClick={() => desk.check(f)}>
        Open in the validator
      </button>
    );
  }
  if (!f.actions.includes(what)) return null;
  if (what === "match" || what === "reprocess" || what === "delete") {
    const label = { match: "Match by hand…", reprocess: "Reprocess…", delete: "Delete…" }[what];
    return (
      <button
        type="button"
        class={`btn small ${what === "delete" ? "danger" : ""}`}
        aria-label={named(label)}
        onClick={() => desk.ask(what, f)}
      >
        {label}
      </button>
    );
  }
  const label = what === "keep" && f.kept ? "No longer keep" : simple[what].label;
  return (
    <Act
      small
      icon={what === "retry" || what === "undo" ? "retry" : undefined}
      aria-label={named(label)}
      do={async () => {
        const now = await ask(desk.hub, f, what);
        say(simple[what].told(now));
        desk.changed(now);
      }}
      failed={desk.failed}
    >
      {label}
    </Act>
  );
}

/** All files that a listing with these would show. */
interface Those {
  q?: string;
  states?: DropFileState[];
  folder_id?: string;
  type?: DropFileType;
  reason?: string;
  ending?: string;
  from?: string;
  to?: string;
}

const asUsual = { entry: false, keep: true };

/** So many ids one call takes. */
const MOST_IDS = 500;

/** What became of many files; `stopped` says why the rest was not reached. */
export type BulkDone = Pick<DropBulkResult, "done" | "failed" | "results"> & { stopped?: Problem };

/** The same for many files, in as many calls as that takes. Rejects when nothing was done at all. */
export async function bulk(
  hub: string,
  what: {
    action: "retry" | "take" | "keep" | "ignore" | "delete" | "undo";
    ids?: string[];
    filter?: Those;
    entry?: boolean;
  },
): Promise<BulkDone> {
  const all: BulkDone = { done: 0, failed: 0, results: [] };
  const ids = what.ids ?? [];
  let from = 0;
  let after: string | undefined;
  do {
    try {
      const part = await call(
        api.POST("/v1/hubs/{hub}/drop-folders/files/bulk", {
          params: { path: { hub }, header: { "Idempotency-Key": idempotencyKey() } },
          body: { ...asUsual, ...what, ids: what.ids && ids.slice(from, from + MOST_IDS), after },
        }),
      );
      all.done += part.done;
      all.failed += part.failed;
      all.results.push(...part.results);
      after = part.next;
    } catch (e) {
      if (all.results.length === 0) throw e;
      return { ...all, stopped: asProblem(e) };
    }
    from += MOST_IDS;
  } while (from < ids.length || after);
  return all;
}

/** "3 files tried again, 1 refused." */
export function bulkWords(r: BulkDone, words: string): string {
  return `${count(r.done, "file")} ${words}${r.failed > 0 ? `, ${r.failed.toLocaleString("en")} refused` : ""}.`;
}
