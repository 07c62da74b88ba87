import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Hub } from "../api";
import { count } from "../format";
import { setParams } from "../library/query";
import { UploadRow, useCountdown } from "../library/uploads";
import { navigate } from "../router";
import { Icon } from "../ui/icons";
import { Act, Banner, Dialog, Loading, ProblemBanner, useLoad } from "../ui/parts";
import type { Queue } from "../upload/queue";
import { type Ask, FolderCard } from "./folder-card";
import { Credential, FolderForm, RemoteFolders } from "./parts";
import type { Sender } from "./send";
import type { DropFolder, DropFolderOptions } from "./types";

/** The hub's folders, their way in, and what is being sent into them from here. */
export function Folders(p: {
  hub: Hub;
  list: ReturnType<typeof useFolders>;
  options?: DropFolderOptions;
  queue: Queue;
  sender: Sender;
  /** Says into which folder something is about to be dropped. */
  target: (f?: DropFolder) => void;
  only: string;
}) {
  const { hub, list } = p;
  const [asked, setAsked] = useState<{ what: Ask | "new"; folder?: DropFolder }>();
  const [over, setOver] = useState("");
  const close = () => setAsked(undefined);
  const all = list.items;
  const shown = p.only ? all?.filter((f) => f.id === p.only) : all;
  const changed = (f?: DropFolder) => (f ? list.put(f) : list.again());
  return (
    <div class="stack">
      <div class="spread">
        <h2>Folders</h2>
        <button type="button" class="btn primary" onClick={() => setAsked({ what: "new" })}>
          <Icon name="folder" /> New folder
        </button>
      </div>
      {list.problem && <ProblemBanner problem={list.problem} retry={list.again} />}
      {!all && !list.problem && <Loading />}
      <Sending queue={p.queue} sender={p.sender} folders={all ?? []} />
      {p.only && all && (
        <p class="row">
          {shown?.length ? "One folder is shown." : "This folder is not here any more."}
          <button type="button" class="btn small" onClick={() => setParams({ to: null })}>
            Show all folders
          </button>
        </p>
      )}
      {all?.length === 0 && (
        <div class="empty">
          <Icon name="folder" size={44} />
          <h3>No drop folder yet</h3>
          <p class="muted">
            What is dropped into a folder becomes an entry by itself, alone or as a manifest describes it. A name is
            enough to begin with. <a href="/docs/drop-folders">How drop folders work</a>
          </p>
          <button type="button" class="btn primary" onClick={() => setAsked({ what: "new" })}>
            Make the first folder
          </button>
        </div>
      )}
      {shown && shown.length > 0 && (
        <ul class="folders" aria-label="Drop folders">
          {shown.map((f) => (
            <FolderCard
              key={f.id}
              hub={hub.id}
              f={f}
              sender={p.sender}
              over={over === f.id}
              changed={changed}
              ask={(what, folder) => setAsked({ what, folder })}
              drag={{
                onDragOver: () => setOver(f.id),
                onDragLeave: () => setOver(""),
                onDrop: () => {
                  setOver("");
                  p.target(f);
                },
              }}
            />
          ))}
        </ul>
      )}
      {list.more && (
        <div class="row">
          <Act do={list.more}>Load more</Act>
        </div>
      )}
      {!p.only && <RemoteFolders hub={hub.id} />}
      {(asked?.what === "new" || asked?.what === "edit") && (
        <FolderForm
          hub={hub}
          folder={asked.folder}
          options={p.options}
          close={close}
          saved={(f) => {
            close();
            if (asked.folder) list.put(f);
            else list.again();
            say(asked.folder ? `${f.name} was saved.` : `${f.name} is ready for files.`);
          }}
        />
      )}
      {asked?.what === "credential" && asked.folder && (
        <Credential hub={hub.id} folder={asked.folder} close={close} changed={list.again} />
      )}
      {asked?.what === "remove" && asked.folder && (
        <Remove
          hub={hub.id}
          f={asked.folder}
          close={close}
          removed={() => {
            close();
            list.again();
          }}
        />
      )}
    </div>
  );
}

/** All folders of a hub, portion by portion, and fresh again with each turn. */
export function useFolders(hub: string, turn: number) {
  const [pages, setPages] = useState(1);
  const load = useLoad(async () => {
    const items: DropFolder[] = [];
    let next: string | undefined;
    for (let n = 0; n < pages; n++) {
      const page = await call(
        api.GET("/v1/hubs/{hub}/drop-folders", { params: { path: { hub }, query: { cursor: next, limit: 100 } } }),
      );
      items.push(...page.items);
      next = page.next;
      if (!next) break;
    }
    return { items, next };
  }, [hub, turn, pages]);
  return {
    items: load.data?.items,
    // What is shown stays until a look works again.
    problem: load.problem,
    again: load.again,
    more: load.data?.next ? async () => setPages(pages + 1) : undefined,
    put: (f: DropFolder) =>
      load.data && load.set({ ...load.data, items: load.data.items.map((x) => (x.id === f.id ? f : x)) }),
  };
}

/** What this page sends into folders now. */
function Sending({ queue, sender, folders }: { queue: Queue; sender: Sender; folders: DropFolder[] }) {
  const now = useCountdown(queue);
  const items = queue.items.value.filter((i) => i.upload?.drop_folder_id);
  const sending = items.filter((i) => !["server", "ready", "cancelled"].includes(i.phase));
  const reading = sender.reading.value;
  const left = sender.left.value;
  const problem = sender.problem.value;
  if (sending.length === 0 && reading === 0 && !left && !problem) return null;
  const nameOf = (id?: string) => folders.find((f) => f.id === id)?.name ?? "a folder";
  const most = 20;
  return (
    <section class="card uploads" aria-labelledby="sending-title">
      <header class="spread">
        <h3 id="sending-title">
          On the way {sending.length > 0 && <span class="badge accent">{count(sending.length, "file")}</span>}
        </h3>
        {sending.length > 1 && (
          <div class="row">
            <button type="button" class="btn small" onClick={() => queue.pauseAll()}>
              <Icon name="pause" size={16} /> Pause all
            </button>
            <button type="button" class="btn small" onClick={() => queue.resumeAll()}>
              <Icon name="play" size={14} /> Resume all
            </button>
          </div>
        )}
      </header>
      {problem && <ProblemBanner problem={problem} />}
      {left && (
        <Banner tone="info">
          <p>{left}</p>
        </Banner>
      )}
      {reading > 0 && (
        <p class="note muted row" role="status">
          <span class="spin" /> Reading {count(reading, "file")}
        </p>
      )}
      <ul>
        {sending.slice(0, most).map((it) => (
          <UploadRow
            key={it.key}
            it={{ ...it, name: `${it.upload?.name ?? it.name} → ${nameOf(it.upload?.drop_folder_id)}` }}
            queue={queue}
            now={now}
            open={(id) => navigate(`/hubs/${queue.hub}/library?tab=kaltura&media=${encodeURIComponent(id)}`)}
          />
        ))}
      </ul>
      {sending.length > most && <p class="note muted">And {count(sending.length - most, "file")} more.</p>}
    </section>
  );
}

/** Removes a folder, after saying what that means for its files. */
function Remove(p: { hub: string; f: DropFolder; close: () => void; removed: () => void }) {
  const { f } = p;
  const [problem, setProblem] = useState<Parameters<typeof ProblemBanner>[0]["problem"]>();
  const files = (states: string[]) => states.reduce((n, s) => n + (f.states[s]?.files ?? 0), 0);
  const busy = files(["importing", "processing"]);
  const open = files(["detected", "uploading", "pending", "waiting", "no_match", "parsed"]);
  const done = files(["ready", "deletion_due"]);
  return (
    <Dialog
      slim
      title={`Remove ${f.name}?`}
      close={p.close}
      foot={
        <>
          <button type="button" class="btn" onClick={p.close}>
            Keep it
          </button>
          <Act
            kind="danger"
            do={async () => {
              setProblem(undefined);
              await call(
                api.DELETE("/v1/hubs/{hub}/drop-folders/{id}", {
                  params: { path: { hub: p.hub, id: f.id }, header: { "If-Match": f.etag } },
                }),
              );
              say(`${f.name} was removed.`);
              p.removed();
            }}
            failed={setProblem}
          >
            Remove the folder
          </Act>
        </>
      }
    >
      <div class="stack">
        {problem && <ProblemBanner problem={problem} />}
        <ul class="bullets">
          {done > 0 && <li>{count(done, "entry", "entries")} made by it stay, and nothing is deleted any more.</li>}
          {busy > 0 && <li>{count(busy, "file")} being imported are finished first.</li>}
          {open > 0 && <li>{count(open, "file")} not taken yet will not become entries.</li>}
          {f.source !== "uploads" && <li>Files stay in the {f.source} where they lie.</li>}
          {f.client_id && <li>Its machine credential stops working at once.</li>}
        </ul>
        <p class="muted">Pausing it keeps everything as it is.</p>
      </div>
    </Dialog>
  );
}
