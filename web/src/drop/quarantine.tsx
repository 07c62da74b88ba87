import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Problem } from "../api";
import { bytes, when } from "../format";
import { Icon } from "../ui/icons";
import { Act, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { bulk, bulkWords, type Desk, FileAct } from "./acts";
import { useTold } from "./news";
import type { DropCounts, DropFile, DropFolderOptions } from "./types";
import { fixesOf, reasonName } from "./words";

const SOME = 10;

/** What cannot go on by itself, by reason, with what helps. */
export function Quarantine(p: {
  hub: string;
  turn: number;
  desk: Desk;
  counts?: DropCounts;
  options?: DropFolderOptions;
  open: (id: string) => void;
  editFolder: (id: string) => void;
}) {
  const reasons = Object.entries(p.counts?.reasons ?? {})
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1]);
  if (!p.counts) return <Loading />;
  if (reasons.length === 0) {
    return (
      <div class="empty">
        <Icon name="check" size={44} />
        <h2>Nothing is quarantined</h2>
        <p class="muted">A file that cannot go on by itself is kept here, with the reason and what helps.</p>
      </div>
    );
  }
  return (
    <div class="reasons">
      <h2>Quarantine</h2>
      {reasons.map(([reason, n]) => (
        <Group key={reason} {...p} reason={reason} n={n} />
      ))}
    </div>
  );
}

function Group(p: {
  hub: string;
  turn: number;
  desk: Desk;
  options?: DropFolderOptions;
  open: (id: string) => void;
  editFolder: (id: string) => void;
  reason: string;
  n: number;
}) {
  const { hub, desk, reason, n } = p;
  const [problem, setProblem] = useState<Problem>();
  const load = useLoad(
    () =>
      call(
        api.GET("/v1/hubs/{hub}/drop-folders/files", {
          params: { path: { hub }, query: { state: ["quarantined"], reason, limit: SOME } },
        }),
      ),
    [hub, reason, p.turn],
  );
  const info = p.options?.reasons.find((r) => r.reason === reason);
  const files = load.data?.items;
  useTold(reason, files);
  const own: Desk = { ...desk, failed: setProblem };
  const id = `reason-${reason.replaceAll(/\W/g, "-")}`;
  return (
    <section class="card stack-s" aria-labelledby={id} data-reason={reason}>
      <div class="spread">
        <h3 id={id}>
          {reasonName(reason, p.options?.reasons)} <span class="badge bad">{n.toLocaleString("en")}</span>
        </h3>
        {files && files.length > 1 && files.some((f) => f.actions.includes("retry")) && (
          <Act
            small
            icon="retry"
            do={async () => {
              setProblem(undefined);
              const r = await bulk(hub, { action: "retry", filter: { states: ["quarantined"], reason } });
              say(bulkWords(r, "tried again"));
              setProblem(r.stopped);
              load.again();
            }}
            failed={setProblem}
          >
            Retry all {n.toLocaleString("en")}
          </Act>
        )}
      </div>
      {info?.fix && <p>{info.fix}</p>}
      {problem && <ProblemBanner problem={problem} />}
      {load.problem && !files && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!files && !load.problem && <Loading />}
      <ul class="previews">
        {files?.map((f) => (
          <One key={f.id} f={f} desk={own} open={p.open} editFolder={p.editFolder} />
        ))}
      </ul>
      {n > SOME && (
        <p>
          <a href={`/hubs/${hub}/drop-folders?tab=files&state=quarantined&reason=${encodeURIComponent(reason)}`}>
            All {n.toLocaleString("en")} of them
          </a>
        </p>
      )}
    </section>
  );
}

function One(p: { f: DropFile; desk: Desk; open: (id: string) => void; editFolder: (id: string) => void }) {
  const { f } = p;
  return (
    <li data-file={f.id}>
      <p class="files">
        <button type="button" class="name" aria-haspopup="dialog" onClick={() => p.open(f.id)}>
          <bdi>{f.name}</bdi>
        </button>
      </p>
      <p class="small muted">
        {f.folder_name} · {bytes(f.size)} · {when(f.created_at)}
      </p>
      {(f.text || f.next_step) && (
        <p class="small wrap">
          {f.text} {f.next_step && <strong>{f.next_step}</strong>}
        </p>
      )}
      <div class="row">
        {fixesOf(f.reason ?? "", f.type === "manifest").map((fix) =>
          fix === "folder" ? (
            <button
              key={fix}
              type="button"
              class="btn small"
              aria-label={`Edit the folder of ${f.name}`}
              onClick={() => p.editFolder(f.folder_id)}
            >
              Edit the folder
            </button>
          ) : (
            <FileAct key={fix} f={f} what={fix} desk={p.desk} />
          ),
        )}
      </div>
    </li>
  );
}
