import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, idempotencyKey, type Problem } from "../api";
import { bytes, count, passed, when } from "../format";
import { Act, CopyButton, Dialog, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { type Desk, FileAct } from "./acts";
import { Countdown } from "./countdown";
import type { DropChange, DropFile, DropFileAction, DropItem } from "./types";
import { causeWords, kalturaWords, receivedWords, stateMeaning, stateName, stateTone } from "./words";

const acts: DropFileAction[] = ["retry", "take", "match", "reprocess", "keep", "ignore", "undo", "delete"];

/** A file with all that happened to it and all that can be done with it. */
export function FileDetail(p: { id: string; turn: number; desk: Desk; close: () => void; open: (id: string) => void }) {
  const { desk } = p;
  const path = { hub: desk.hub, id: p.id };
  const [problem, setProblem] = useState<Problem>();
  const load = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/drop-folders/files/{id}", { params: { path } })),
    [p.id, p.turn],
  );
  const f = load.data;
  const own: Desk = {
    ...desk,
    failed: setProblem,
    changed: (x) => {
      setProblem(undefined);
      load.set(x);
      desk.changed(x);
    },
  };
  return (
    <Dialog title={f?.name ?? "File"} close={p.close}>
      {!f && load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!f && !load.problem && <Loading />}
      {f && (
        <div class="stack" data-file-detail={f.id} data-state={f.state}>
          {problem && <ProblemBanner problem={problem} />}
          <div class="stack-s">
            <p class="row">
              <span class={`badge ${stateTone(f.state)}`}>{stateName(f.state)}</span>
              {f.superseded && <span class="badge">A newer file has its name</span>}
              {f.kept && <span class="badge ok">Kept</span>}
            </p>
            <p class="wrap">
              {f.text || stateMeaning(f.state)} {f.next_step && <strong>{f.next_step}</strong>}
            </p>
            {f.delete_at && f.state === "deletion_due" && !f.kept && (
              <p data-testid="deletion">
                The file is deleted in{" "}
                <strong>
                  <Countdown at={f.delete_at} />
                </strong>
                .{!f.actions.includes("undo") && " The entry stays."}
              </p>
            )}
            {f.waiting_for.length > 0 && (
              <div>
                <p>Waits for:</p>
                <ul class="bullets">
                  {f.waiting_for.map((n) => (
                    <li key={n} class="wrap">
                      {n.startsWith("entry:") ? `an entry with the reference id ${n.slice(6)}` : <bdi>{n}</bdi>}
                    </li>
                  ))}
                </ul>
              </div>
            )}
            <div class="row">
              {f.type === "manifest" && f.state !== "uploading" && <FileAct f={f} what="validate" desk={own} />}
              {acts.map((a) => (
                <FileAct key={a} f={f} what={a} desk={own} />
              ))}
            </div>
          </div>
          <div class="detail">
            <div class="stack">
              {f.items && <Items hub={desk.hub} f={f} turn={p.turn} />}
              <Timeline hub={desk.hub} f={f} turn={p.turn} />
            </div>
            <Facts hub={desk.hub} f={f} open={p.open} />
          </div>
        </div>
      )}
    </Dialog>
  );
}

function Facts({ hub, f, open }: { hub: string; f: DropFile; open: (id: string) => void }) {
  const fact = (name: string, value: preact.ComponentChildren) =>
    value !== undefined && value !== "" && value !== null && value !== false ? (
      <>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </>
    ) : null;
  return (
    <section class="stack-s" aria-label="Facts">
      <h3>Facts</h3>
      <dl class="facts small">
        {fact("Folder", f.folder_name)}
        {fact("Size", f.size > 0 && `${bytes(f.size)} (${count(f.size, "byte")})`)}
        {fact("Received", receivedWords(f))}
        {fact("Seen first", when(f.created_at))}
        {fact("Whole since", f.whole_at && when(f.whole_at))}
        {fact("Ready since", f.ready_at && when(f.ready_at))}
        {fact("Tried again", f.try_at && when(f.try_at))}
        {fact(
          "Entry",
          f.entry_id && (
            <a href={`/hubs/${hub}/library?tab=kaltura&media=${encodeURIComponent(f.entry_id)}`}>{f.entry_id}</a>
          ),
        )}
        {fact(
          "Manifest",
          f.manifest_id && f.manifest_id !== f.id && (
            <button type="button" class="btn small" onClick={() => open(f.manifest_id!)}>
              Show it
            </button>
          ),
        )}
        {fact("Reference id", f.reference_id)}
        {fact("Rendition", f.flavor)}
        {fact("Owner", f.user_id)}
        {fact("Reason", f.reason && <code>{f.reason}</code>)}
        {fact("In Kaltura's words", f.kaltura_status !== undefined && kalturaWords(f.kaltura_status, f.kaltura_code))}
        {fact(
          "SHA-256",
          f.sha256 && (
            <span class="stack-s">
              <code class="wrap">{f.sha256}</code>
              <span>
                <CopyButton text={f.sha256} label="Copy digest" />
              </span>
            </span>
          ),
        )}
      </dl>
    </section>
  );
}

function Timeline({ hub, f, turn }: { hub: string; f: DropFile; turn: number }) {
  const load = useLoad(async () => {
    const items: DropChange[] = [];
    let cursor: string | undefined;
    do {
      const page = await call(
        api.GET("/v1/hubs/{hub}/drop-folders/files/{id}/timeline", {
          params: { path: { hub, id: f.id }, query: { cursor, limit: 100 } },
        }),
      );
      items.push(...page.items);
      cursor = page.next;
    } while (cursor && items.length < 500);
    return items;
  }, [hub, f.id, f.updated_at, turn]);
  const all = load.data ?? [];
  const tone = (c: DropChange, last: boolean) =>
    c.state === "quarantined" ? "bad" : c.state === "ready" || c.state === "deletion_due" ? "ok" : last ? "now" : "";
  return (
    <section class="stack-s" aria-labelledby="timeline-title">
      <h3 id="timeline-title">What happened</h3>
      {load.problem && !load.data && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!load.data && !load.problem && <Loading />}
      <ol class="timeline" aria-labelledby="timeline-title">
        {all.map((c, i) => (
          <li key={c.id} class={tone(c, i === all.length - 1)} data-state={c.state}>
            <div>
              <p>
                <strong>{stateName(c.state)}</strong> {c.text || causeWords(c.cause)}
              </p>
              <p class="small muted tabular">
                <time dateTime={c.at}>
                  {new Date(c.at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" })}
                </time>
                {i > 0 && ` · ${passed(all[i - 1]!.at, Date.parse(c.at))} later`}
                {c.by && c.by !== "system" && ` · by ${c.by_name ?? "somebody who is not here any more"}`}
              </p>
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

const itemStates: Record<string, [string, string]> = {
  queued: ["Its turn comes", ""],
  running: ["At work", "accent"],
  processing: ["Processing", "accent"],
  done: ["Done", "ok"],
  failed: ["Failed", "bad"],
};
const did: Record<string, string> = { add: "Add", update: "Update", delete: "Delete" };

/** What became of each item of a manifest. */
function Items({ hub, f, turn }: { hub: string; f: DropFile; turn: number }) {
  const [failed, setFailed] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const load = useLoad(
    () =>
      call(
        api.GET("/v1/hubs/{hub}/drop-folders/files/{id}/items", {
          params: { path: { hub, id: f.id }, query: { state: failed ? "failed" : undefined, cursor, limit: 25 } },
        }),
      ),
    [hub, f.id, failed, cursor, turn, f.updated_at],
  );
  const n = f.items!;
  return (
    <section class="stack-s" aria-labelledby="items-title">
      <h3 id="items-title">Items</h3>
      <p class="muted">
        {count(n.total, "item")}: {n.done} done, {n.failed} failed
        {n.total > n.done + n.failed && `, ${n.total - n.done - n.failed} to go`}.
      </p>
      {n.total > 0 && (
        <progress class="bar" max={n.total} value={n.done + n.failed} aria-label="Items that are done or failed" />
      )}
      {n.failed > 0 && (
        <div class="row">
          <button
            type="button"
            class="chip"
            aria-pressed={failed}
            onClick={() => {
              setFailed(!failed);
              setCursors([]);
            }}
          >
            Failed only
          </button>
        </div>
      )}
      {load.problem && !load.data && <ProblemBanner problem={load.problem} retry={load.again} />}
      {problem && <ProblemBanner problem={problem} />}
      {load.data && load.data.items.length > 0 && (
        <ul class="previews" aria-labelledby="items-title">
          {load.data.items.map((x) => (
            <Item
              key={x.id}
              hub={hub}
              x={x}
              kept={() => {
                setProblem(undefined);
                load.again();
              }}
              failed={setProblem}
            />
          ))}
        </ul>
      )}
      <div class="row">
        {cursor && (
          <Act small do={async () => setCursors(cursors.slice(0, -1))}>
            Earlier items
          </Act>
        )}
        {load.data?.next && (
          <Act small do={async () => setCursors([...cursors, load.data?.next ?? ""])}>
            More items
          </Act>
        )}
      </div>
    </section>
  );
}

function Item(p: { hub: string; x: DropItem; kept: () => void; failed: (p: Problem) => void }) {
  const { hub, x } = p;
  const [word, tone] = itemStates[x.state] ?? [x.state, ""];
  return (
    <li data-item={x.number} data-state={x.state}>
      <p class="row">
        <strong>
          {x.number}. <bdi>{x.title}</bdi>
        </strong>
        <span class={`badge ${tone}`}>{word}</span>
      </p>
      <p class="small muted">
        {[x.action && did[x.action], `line ${x.line}`, x.reference_id && `reference id ${x.reference_id}`]
          .filter(Boolean)
          .join(" · ")}
        {x.entry_id && (
          <>
            {" · "}
            <a href={`/hubs/${hub}/library?tab=kaltura&media=${encodeURIComponent(x.entry_id)}`}>{x.entry_id}</a>
          </>
        )}
      </p>
      {(x.text || x.next_step) && (
        <p class="small wrap">
          {x.text} {x.next_step && <strong>{x.next_step}</strong>}
        </p>
      )}
      {x.reason === "deletion_due" && (x.state === "queued" || x.state === "running") && (
        <div class="row">
          <Act
            small
            icon="retry"
            aria-label={`Undo the deletion: ${x.title}`}
            do={async () => {
              const params = { path: { hub, id: x.id }, header: { "Idempotency-Key": idempotencyKey() } };
              await call(api.POST("/v1/hubs/{hub}/drop-folders/items/{id}/undo", { params }));
              say(`${x.title} is not deleted.`);
              p.kept();
            }}
            failed={p.failed}
          >
            Undo the deletion
          </Act>
        </div>
      )}
    </li>
  );
}
