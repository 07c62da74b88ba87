import type { ComponentChild, ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, idempotencyKey, type Problem } from "../api";
import { ago, bytes, count, when } from "../format";
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
      <Opened title="XML that Kaltura read from them">
        <Manifests hub={hub} />
      </Opened>
    </section>
  );
}

function Folder({ hub, f }: { hub: string; f: RemoteDropFolder }) {
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
      <Opened title="Files" of={f.name}>
        <Files hub={hub} f={f} />
      </Opened>
    </li>
  );
}

/** What is asked for when somebody opens it, not before. */
function Opened(p: { title: string; of?: string; children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>
        {p.title}
        {p.of && <span class="visually-hidden"> of {p.of}</span>}
      </summary>
      {open && p.children}
    </details>
  );
}

function Files({ hub, f }: { hub: string; f: RemoteDropFolder }) {
  const [failed, setFailed] = useState(false);
  const box = useRef<HTMLInputElement>(null);
  return (
    <div class="stack-s">
      <label class="check">
        <input ref={box} type="checkbox" checked={failed} onChange={(e) => setFailed(e.currentTarget.checked)} />
        <span>
          Only what Kaltura could not take<span class="visually-hidden"> of {f.name}</span>
        </span>
      </label>
      <Pages
        key={failed}
        of={f.name}
        none={failed ? "None is listed that Kaltura could not take." : "No files."}
        ask={(cursor) =>
          call(
            api.GET("/v1/hubs/{hub}/drop-folders/remote/{id}/files", {
              params: { path: { hub, id: f.id }, query: { cursor, failed: failed || undefined } },
            }),
          )
        }
        row={(x, again) => (
          <Row
            key={x.id}
            hub={hub}
            x={x}
            changed={() => {
              again();
              if (failed) box.current?.focus(); // the row that had it goes
            }}
          />
        )}
      />
    </div>
  );
}

function Manifests({ hub }: { hub: string }) {
  return (
    <Pages
      of="the XML"
      none="None yet."
      ask={(cursor) =>
        call(api.GET("/v1/hubs/{hub}/drop-folders/remote/manifests", { params: { path: { hub }, query: { cursor } } }))
      }
      row={(m) => (
        <li key={m.id} data-remote-manifest={m.id}>
          <p class="row">
            <bdi>{m.name}</bdi> <span class={`badge ${stateTone(m.state)}`}>{stateName(m.state)}</span>
          </p>
          <p class="small muted">
            {[when(m.created_at), m.items > 0 && count(m.items, "entry", "entries")].filter(Boolean).join(" · ")}
          </p>
          {m.text && <p class="small wrap">{m.text}</p>}
        </li>
      )}
    />
  );
}

/** How often Kaltura is asked for what is looked at: it tells of nothing by itself. */
const askEvery = 15_000;

function Pages<T>(p: {
  of: string;
  none: string;
  ask: (cursor?: string) => Promise<{ items: T[]; next?: string }>;
  row: (x: T, again: () => void) => ComponentChild;
}) {
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const load = useLoad(() => p.ask(cursor), [cursor]);
  // Only after an answer, which may take Kaltura longer than that; what is refused is not asked for by itself again.
  useEffect(() => {
    if (!load.data || (load.problem && load.problem.status < 500 && load.problem.status !== 429)) return;
    const t = setInterval(() => {
      if (document.hidden) return;
      clearInterval(t);
      load.again();
    }, askEvery);
    return () => clearInterval(t);
  }, [load.data, load.problem]);
  if (!load.data) return load.problem ? <ProblemBanner problem={load.problem} retry={load.again} /> : <Loading />;
  const { items, next } = load.data;
  const of = <span class="visually-hidden"> of {p.of}</span>;
  return (
    <div class="stack-s">
      {load.problem && <p class="muted small">As Kaltura said before. {load.problem.message}</p>}
      {items.length === 0 && <p class="muted small">{cursor || next ? "None on this page." : p.none}</p>}
      {items.length > 0 && <ul class="previews">{items.map((x) => p.row(x, load.again))}</ul>}
      <div class="row">
        <Act small do={async () => load.again()}>
          Look again{of}
        </Act>
        {cursor && (
          <Act small do={async () => setCursors(cursors.slice(0, -1))}>
            Newer{of}
          </Act>
        )}
        {next && (
          <Act small do={async () => setCursors([...cursors, next])}>
            Older{of}
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
