import "../styles/library.css";
import "../styles/transfers.css";
import "../styles/drop.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { announce, say } from "../announce";
import { api, call } from "../api";
import type { PageProps } from "../app";
import { bulk, bulkWords, type Desk } from "../drop/acts";
import type { ToCheck } from "../drop/check";
import { Files } from "../drop/files";
import { Folders, useFolders } from "../drop/folders";
import { useNews } from "../drop/news";
import { Check, DeleteFile, FileDetail, FolderForm, Match, Quarantine, Reprocess } from "../drop/parts";
import { senderOf } from "../drop/send";
import { Tabs } from "../drop/tabs";
import type { DropFile, DropFolder } from "../drop/types";
import { type Deleted, Undo } from "../drop/undo";
import { count } from "../format";
import { setParams } from "../library/query";
import { connected } from "../live";
import { here } from "../router";
import { hubs, may, rememberHub } from "../session";
import { Icon } from "../ui/icons";
import { Banner, useLoad } from "../ui/parts";
import { useTab } from "../ui/tab";
import { useDrop } from "../upload/drop";
import { queueOf } from "../upload/queue";

const tabs = ["folders", "files", "quarantine", "check"] as const;
type Tab = (typeof tabs)[number];

/** The hub's drop folders: what comes in, how far it is, what holds it up. */
export default function DropFoldersPage({ params }: PageProps) {
  const id = params.hub!;
  const h = hubs.value.find((x) => x.id === id);
  useTab(`Drop folders · ${h?.name ?? "Isthmus"}`);
  useEffect(() => rememberHub(id), [id]);
  if (!h || !["admin", "content_admin"].includes(h.role ?? "") || !may("dropfolders:read")) {
    return (
      <div class="stack">
        <h1>Drop folders</h1>
        <Banner tone="info">
          <p>
            Drop folders are for admins and content admins of the hub. What you upload yourself is on{" "}
            <a href={`/hubs/${id}/transfers`}>Transfers</a>.
          </p>
        </Banner>
      </div>
    );
  }
  return <Page hub={h} />;
}

function Page({ hub }: { hub: (typeof hubs.value)[number] }) {
  const id = hub.id;
  const s = here.value.searchParams;
  const tab = tabs.find((t) => t === s.get("tab")) ?? "folders";
  const open = s.get("file") ?? "";
  const queue = queueOf(id);
  const sender = senderOf(queue);
  const news = useNews(
    id,
    (e) => queue.hear(e),
    () => void queue.load(),
  );
  useEffect(() => void queue.load(), [id]);
  const folders = useFolders(id, news.turn);
  const options = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/drop-folders/options", { params: { path: { hub: id } } })),
    [id],
  );
  const counts = useLoad(
    () =>
      call(
        api.GET("/v1/hubs/{hub}/drop-folders/counts", {
          params: { path: { hub: id }, query: { state: ["quarantined"] } },
        }),
      ),
    [id, news.turn],
  );
  const [asked, setAsked] = useState<{ what: "match" | "reprocess" | "delete"; file: DropFile }>();
  const [editing, setEditing] = useState<DropFolder>();
  const [deleted, setDeleted] = useState<Deleted[]>([]);
  const [given, setGiven] = useState<ToCheck>();
  const all = folders.items ?? [];

  const desk: Desk = {
    hub: id,
    changed: () => news.look(),
    deleted: (files) => {
      setDeleted(files);
      announce(`${count(files.length, "file")} deleted. The deletion can be taken back for a while.`);
    },
    failed: (p) => say(`${p.message} ${p.nextStep}`),
    ask: (what, file) => setAsked({ what, file }),
    check: (f) => {
      setGiven({ manifest: { id: f.id, name: f.name.slice(f.name.lastIndexOf("/") + 1), folder: f.folder_id } });
      setParams({ tab: "check", file: null }, true);
    },
  };
  // A drop on a card is for its folder; elsewhere it is clear only when there is one.
  const target = useRef<DropFolder | undefined>(undefined);
  const aimed = () => {
    const only = all.length === 1 ? all[0] : all.find((f) => f.id === (s.get("to") ?? s.get("folder")));
    const f = target.current ?? only;
    setTimeout(() => {
      target.current = undefined;
    });
    if (!f) say(all.length ? "Drop files onto the folder that they are for." : "Make a folder first.");
    return f;
  };
  const over = useDrop(
    (files) => {
      if (tab === "check") {
        setGiven({ file: files[0] });
        return;
      }
      const f = aimed();
      if (f)
        void sender.files(
          f,
          files.map((file) => ({ file, folder: "" })),
        );
    },
    (trees) => {
      const f = aimed();
      if (f) void sender.folders(f, trees);
    },
  );
  const quarantined = counts.data?.states.quarantined?.files ?? 0;
  const names: Record<Tab, [string, number?]> = {
    folders: ["Folders"],
    files: ["Files"],
    quarantine: ["Quarantine", quarantined],
    check: ["Check a manifest"],
  };
  return (
    <div class="stack">
      <div class="spread">
        <h1>Drop folders</h1>
        <div class="row">
          <span class="small muted" role="status">
            {news.paused
              ? news.missed > 0
                ? "Paused: there is something new."
                : "Updates are paused."
              : connected.value
                ? "Updates by itself."
                : "Waiting for live updates."}
          </span>
          <button type="button" class="btn small" aria-pressed={news.paused} onClick={() => news.pause(!news.paused)}>
            <Icon name={news.paused ? "play" : "pause"} size={16} /> Pause updates
          </button>
        </div>
      </div>
      <Tabs
        label="Drop folders"
        tabs={tabs.map((t) => ({ id: t, name: names[t][0], count: names[t][1] }))}
        now={tab}
        choose={(t) => setParams({ tab: t === "folders" ? null : t })}
      />
      <div role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`}>
        {tab === "folders" && (
          <Folders
            hub={hub}
            list={folders}
            options={options.data}
            queue={queue}
            sender={sender}
            only={s.get("to") ?? ""}
            target={(f) => {
              target.current = f;
            }}
          />
        )}
        {tab === "files" && (
          <Files
            hub={id}
            turn={news.turn}
            still={news.paused}
            desk={desk}
            folders={all}
            open={(f) => setParams({ file: f }, true)}
          />
        )}
        {tab === "quarantine" && (
          <Quarantine
            hub={id}
            turn={news.turn}
            desk={desk}
            counts={counts.data}
            options={options.data}
            open={(f) => setParams({ file: f }, true)}
            editFolder={(f) => setEditing(all.find((x) => x.id === f))}
          />
        )}
        {tab === "check" && (
          <Check
            hub={id}
            folders={all}
            options={options.data}
            sender={sender}
            given={given}
            taken={() => setGiven(undefined)}
          />
        )}
      </div>
      {deleted.length > 0 && (
        <Undo
          files={deleted}
          seconds={options.data?.undo_seconds ?? 0}
          close={() => setDeleted([])}
          undo={async () => {
            const r = await bulk(id, { action: "undo", ids: deleted.map((f) => f.id) });
            const wrong = r.results.find((x) => x.error)?.error;
            say(wrong ? `${bulkWords(r, "back")} ${wrong.message} ${wrong.next_step ?? ""}` : bulkWords(r, "back"));
            setDeleted(deleted.slice(r.results.length)); // what was not reached can still be taken back
            if (r.stopped) desk.failed(r.stopped);
            news.look();
          }}
          failed={(p) => say(`${p.message} ${p.nextStep}`)}
        />
      )}
      {open && (
        <FileDetail
          key={open}
          id={open}
          turn={news.turn}
          desk={desk}
          close={() => setParams({ file: null })}
          open={(f) => setParams({ file: f }, true)}
        />
      )}
      {asked?.what === "delete" && <DeleteFile f={asked.file} desk={desk} close={() => setAsked(undefined)} />}
      {asked?.what === "reprocess" && <Reprocess f={asked.file} desk={desk} close={() => setAsked(undefined)} />}
      {asked?.what === "match" && <Match f={asked.file} desk={desk} close={() => setAsked(undefined)} />}
      {editing && (
        <FolderForm
          hub={hub}
          folder={editing}
          options={options.data}
          close={() => setEditing(undefined)}
          saved={(f) => {
            setEditing(undefined);
            folders.put(f);
            say(`${f.name} was saved. Retry the files that it is about.`);
          }}
        />
      )}
      {over && tab !== "folders" && (
        <div class="drop-hint" aria-hidden="true">
          {tab === "check" ? "Drop a manifest to check it" : "Drop to upload"}
        </div>
      )}
    </div>
  );
}
