import { useState } from "preact/hooks";
import { say } from "../announce";
import type { Problem } from "../api";
import { count } from "../format";
import { Act, Banner, Dialog, ProblemBanner } from "../ui/parts";
import { type BulkDone, bulk, bulkWords, type Desk } from "./acts";
import { Tick } from "./fields";
import { type Filter, filterQuery } from "./filter";
import type { DropFile } from "./types";

type BulkAction = "retry" | "take" | "keep" | "ignore" | "delete" | "undo";
const actions: [BulkAction, string, string][] = [
  ["retry", "Retry", "tried again"],
  ["take", "Take now", "taken"],
  ["keep", "Keep", "kept"],
  ["ignore", "Leave alone", "left alone"],
  ["undo", "Undo the deletion", "back"],
];

/** What can be done with the chosen files together; says for each what became of it. */
export function Bulk(p: {
  hub: string;
  files: DropFile[];
  every: boolean;
  filter: Filter;
  total?: number;
  chooseEvery?: () => void;
  done: () => void;
  desk: Desk;
}) {
  const { files, filter } = p;
  const [problem, setProblem] = useState<Problem>();
  const [result, setResult] = useState<BulkDone>();
  const [asking, setAsking] = useState(false);
  const [entry, setEntry] = useState(false);
  const n = p.every ? (p.total ?? 0) : files.length;
  const q = filterQuery(filter);
  const run = async (action: BulkAction, words: string) => {
    setProblem(undefined);
    setResult(undefined);
    const r = await bulk(p.hub, {
      action,
      entry: action === "delete" && entry,
      ...(p.every
        ? {
            filter: {
              q: q.q,
              states: q.state,
              folder_id: q.folder,
              type: q.type,
              reason: q.reason,
              ending: q.ending,
              from: q.from,
              to: q.to,
            },
          }
        : { ids: files.map((f) => f.id) }),
    });
    say(bulkWords(r, words));
    if (action === "delete" && r.done > 0) {
      const names = new Map(files.map((f) => [f.id, f.name]));
      p.desk.deleted(r.results.filter((x) => !x.error).map((x) => ({ id: x.id, name: names.get(x.id) ?? x.id })));
    }
    setAsking(false);
    setProblem(r.stopped);
    if (r.failed > 0 || r.stopped) setResult(r);
    else p.done();
  };
  const nameOf = (id: string) => files.find((f) => f.id === id)?.name ?? id;
  return (
    <section class="bulk stack-s" aria-label="Chosen files">
      {problem && <ProblemBanner problem={problem} />}
      {result && (
        <Banner
          tone="warn"
          action={
            <button type="button" class="btn small" onClick={p.done}>
              Close
            </button>
          }
        >
          <p>
            <strong>
              {result.done.toLocaleString("en")} done, {result.failed.toLocaleString("en")} refused.
            </strong>
            {result.stopped && " The rest was not reached: do the same again."}
          </p>
          <ul class="bullets small">
            {result.results
              .filter((r) => r.error)
              .slice(0, 50)
              .map((r) => (
                <li key={r.id} class="wrap">
                  <bdi>{nameOf(r.id)}</bdi>: {r.error?.message} {r.error?.next_step}
                </li>
              ))}
          </ul>
        </Banner>
      )}
      <div class="spread">
        <p class="row">
          <strong>{count(n, "file")} chosen</strong>
          {p.chooseEvery && !p.every && p.total !== undefined && p.total > files.length && (
            <button type="button" class="btn small" onClick={p.chooseEvery}>
              Choose all {p.total.toLocaleString("en")} of this filter
            </button>
          )}
        </p>
        <div class="row">
          {actions
            .filter(([a]) => p.every || files.some((f) => f.actions.includes(a)))
            .map(([a, label, words]) => (
              <Act key={a} small do={() => run(a, words)} failed={setProblem}>
                {label}
              </Act>
            ))}
          <button type="button" class="btn small danger" onClick={() => setAsking(true)}>
            Delete…
          </button>
          <button type="button" class="btn small" onClick={p.done}>
            Choose none
          </button>
        </div>
      </div>
      {asking && (
        <Dialog
          slim
          title={`Delete ${count(n, "file")}?`}
          close={() => setAsking(false)}
          foot={
            <>
              <button type="button" class="btn" onClick={() => setAsking(false)}>
                Keep them
              </button>
              <Act
                kind="danger"
                do={() => run("delete", "deleted")}
                failed={(e) => {
                  setAsking(false);
                  setProblem(e);
                }}
              >
                {entry ? "Delete files and entries" : "Delete the files"}
              </Act>
            </>
          }
        >
          <div class="stack">
            <p>
              Files in directories and buckets go from there. What is being imported or processed is refused. Each
              deletion can be taken back for a while.
            </p>
            <Tick label="Delete their entries, too" on={entry} set={setEntry} />
            {entry && (
              <Banner tone="warn">
                <p>Items of the library that stream from these entries stop playing.</p>
              </Banner>
            )}
          </div>
        </Dialog>
      )}
    </section>
  );
}
