import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, idempotencyKey, type Problem } from "../api";
import { ago, bytes, when } from "../format";
import { Icon } from "../ui/icons";
import { Act, Loading, ProblemBanner, useLoad } from "../ui/parts";
import type { RemoteDropFile, RemoteDropFolder } from "./types";
import { kalturaWords, stateName, stateTone } from "./words";

/** The folders that the Kaltura account keeps itself; nothing where there are none. */
export function RemoteFolders({ hub }: { hub: string }) {
  const load = useLoad(async () => {
    const items: RemoteDropFolder[] = [];
    let cursor: string | undefined;
    do {
      const page = await call(
        api.GET("/v1/hubs/{hub}/drop-folders/remote", { params: { path: { hub }, query: { cursor } } }),
      );
      items.push(...page.items);
      cursor = page.next;
    } while (cursor && items.length < 500);
    return items;
  }, [hub]);
  if (load.problem) {
    // Most accounts have none, and most credentials may not see them.
    if ([403, 404, 409].includes(load.problem.status)) return null;
    return <ProblemBanner problem={load.problem} retry={load.again} />;
  }
  if (!load.data?.length) return null;
  return (
    <section class="stack-s" aria-labelledby="remote-title">
      <h2 id="remote-title">Kaltura's own drop folders</h2>
      <p class="muted">
        Kept by Kaltura for this account. Folders are changed there; files can be tried again, left alone or deleted.
      </p>
      <ul class="folders">
        {load.data.map((f) => (
          <Folder key={f.id} hub={hub} f={f} />
        ))}
      </ul>
    </section>
  );
}

function Folder({ hub, f }: { hub: string; f: RemoteDropFolder }) {
  const [open, setOpen] = useState(false);
  return (
    <li class="card folder" data-remote={f.id}>
      <div class="spread">
        <h3>
          <bdi>{f.name}</bdi>
        </h3>
        <span class="chips">
          <span class="badge">Kaltura's</span>
          {!f.enabled && <span class="badge warn">Switched off</span>}
        </span>
      </div>
      <div class="health">
        <Icon name={f.error ? "error" : "check"} class={f.error ? "bad" : "ok"} />
        <div>
          <p>{f.error || (f.enabled ? "Kaltura says that it works." : "Kaltura takes nothing from it.")}</p>
          <p class="small muted">
            {[f.kind, f.path, f.checked_at && `looked ${ago(f.checked_at)}`].filter(Boolean).join(" · ")}
          </p>
        </div>
      </div>
      {f.description && <p class="small muted wrap">{f.description}</p>}
      <details onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>
          Files<span class="visually-hidden"> of {f.name}</span>
        </summary>
        {open && <Files hub={hub} f={f} />}
      </details>
    </li>
  );
}

function Files({ hub, f }: { hub: string; f: RemoteDropFolder }) {
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const load = useLoad(
    () =>
      call(
        api.GET("/v1/hubs/{hub}/drop-folders/remote/{id}/files", {
          params: { path: { hub, id: f.id }, query: { cursor } },
        }),
      ),
    [hub, f.id, cursor],
  );
  if (load.problem) return <ProblemBanner problem={load.problem} retry={load.again} />;
  if (!load.data) return <Loading />;
  if (load.data.items.length === 0 && !cursor) return <p class="muted small">No files.</p>;
  return (
    <div class="stack-s">
      <ul class="previews">
        {load.data.items.map((x) => (
          <Row key={x.id} hub={hub} x={x} changed={load.again} />
        ))}
      </ul>
      <div class="row">
        <Act small do={async () => load.again()}>
          Look again
        </Act>
        {cursor && (
          <Act small do={async () => setCursors(cursors.slice(0, -1))}>
            Newer
          </Act>
        )}
        {load.data.next && (
          <Act small do={async () => setCursors([...cursors, load.data?.next ?? ""])}>
            Older
          </Act>
        )}
      </div>
    </div>
  );
}

const acts: Record<RemoteDropFile["actions"][number], { label: string; told: string }> = {
  retry: { label: "Retry", told: "is tried again by Kaltura." },
  ignore: { label: "Leave alone", told: "is left alone by Kaltura." },
  delete: { label: "Delete", told: "is deleted by Kaltura." },
};

/** Whoever came by keyboard goes on where the question is. */
const toKeep = (el: HTMLButtonElement | null) => el?.focus();

function Row({ hub, x, changed }: { hub: string; x: RemoteDropFile; changed: () => void }) {
  const [problem, setProblem] = useState<Problem>();
  const [sure, setSure] = useState(false);
  const act = (action: RemoteDropFile["actions"][number], label: string) => (
    <Act
      key={action}
      small
      kind={action === "delete" ? "danger" : undefined}
      aria-label={`${label}: ${x.name}`}
      do={async () => {
        setProblem(undefined);
        await call(
          api.POST("/v1/hubs/{hub}/drop-folders/remote/{id}/files/{file}/{action}", {
            params: {
              path: { hub, id: x.folder_id, file: x.id, action },
              header: { "Idempotency-Key": idempotencyKey() },
            },
          }),
        );
        say(`${x.name} ${acts[action].told}`);
        setSure(false);
        changed();
      }}
      failed={setProblem}
    >
      {label}
    </Act>
  );
  return (
    <li data-remote-file={x.id}>
      <p class="row">
        <bdi>{x.name}</bdi> <span class={`badge ${stateTone(x.state)}`}>{stateName(x.state)}</span>
      </p>
      <p class="small muted">
        {bytes(x.size)} · {when(x.updated_at)} · Kaltura: {kalturaWords(x.kaltura_status, x.kaltura_code)}
      </p>
      {x.text && <p class="small">{x.text}</p>}
      {x.entry_id && (
        <p class="small">
          <a href={`/hubs/${hub}/library?tab=kaltura&media=${encodeURIComponent(x.entry_id)}`}>
            Open the entry<span class="visually-hidden"> of {x.name}</span>
          </a>
        </p>
      )}
      {problem && <ProblemBanner problem={problem} />}
      {x.actions.length > 0 && !sure && (
        <div class="row">
          {x.actions.filter((a) => a !== "delete").map((a) => act(a, acts[a].label))}
          {x.actions.includes("delete") && (
            <button type="button" class="btn small" aria-label={`Delete: ${x.name}`} onClick={() => setSure(true)}>
              Delete…
            </button>
          )}
        </div>
      )}
      {sure && (
        <div class="row">
          <span class="small">Kaltura removes it from its folder; that cannot be taken back. Its entry stays.</span>
          {act("delete", "Delete it")}
          <button type="button" class="btn small" ref={toKeep} onClick={() => setSure(false)}>
            Keep it
          </button>
        </div>
      )}
    </li>
  );
}
