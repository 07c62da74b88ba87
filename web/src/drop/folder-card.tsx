import { useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { api, asProblem, call, idempotencyKey, type Problem } from "../api";
import { bytes, count, passed } from "../format";
import { chosen } from "../transfer/tree";
import { Icon, type IconName } from "../ui/icons";
import { Act, CopyButton, ProblemBanner } from "../ui/parts";
import { useNow } from "../ui/trouble";
import type { Sender } from "./send";
import type { DropFolder, DropFolderTest } from "./types";
import { deleteNames, groups, handlerNames, over, sourceNames, stateOrder } from "./words";

/** What people do with a folder that opens something of its own. */
export type Ask = "edit" | "credential" | "remove";

/** A folder: how it goes, how files come in, how many are in which state, what can be done. */
export function FolderCard(p: {
  hub: string;
  f: DropFolder;
  sender: Sender;
  over: boolean;
  changed: (f?: DropFolder) => void;
  ask: (what: Ask, f: DropFolder) => void;
  drag: { onDragOver: () => void; onDragLeave: () => void; onDrop: () => void };
}) {
  const { hub, f, sender } = p;
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<Problem>();
  const [test, setTest] = useState<DropFolderTest>();
  const path = { hub, id: f.id };
  const on = !f.stopped;
  const label = (verb: string) => `${verb} ${f.name}`;
  const take = (e: { currentTarget: HTMLInputElement }) => {
    const got = chosen(e.currentTarget.files ?? []);
    e.currentTarget.value = "";
    if (got.length) void sender.files(f, got);
  };
  const key = () => ({ "Idempotency-Key": idempotencyKey() });
  const act = async (what: "scan" | "pause" | "resume", told: string) => {
    setProblem(undefined);
    const params = { path, header: key() };
    const asked =
      what === "scan"
        ? api.POST("/v1/hubs/{hub}/drop-folders/{id}/scan", { params })
        : what === "pause"
          ? api.POST("/v1/hubs/{hub}/drop-folders/{id}/pause", { params })
          : api.POST("/v1/hubs/{hub}/drop-folders/{id}/resume", { params });
    p.changed(await call<DropFolder>(asked));
    say(told);
  };
  const tryIt = async () => {
    setProblem(undefined);
    const t = await call(
      api.POST("/v1/hubs/{hub}/drop-folders/{id}/test", { params: { path, header: key() }, body: {} }),
    );
    setTest(t);
    say(t.ok ? `${f.name} works.` : `${f.name} does not work: look at what is marked.`);
  };
  const failed = (e: unknown) => setProblem(asProblem(e));
  return (
    <li
      class={`card folder ${p.over ? "over" : ""}`}
      data-folder={f.id}
      onDragOver={p.drag.onDragOver}
      onDragLeave={p.drag.onDragLeave}
      onDrop={p.drag.onDrop}
    >
      <div class="stack-s">
        <div class="spread">
          <h3>
            <bdi>{f.name}</bdi>
          </h3>
          <span class="chips">
            <span class="badge">{sourceNames[f.source] ?? f.source}</span>
            {f.paused && <span class="badge warn">Paused</span>}
          </span>
        </div>
        {f.description && <p class="muted wrap">{f.description}</p>}
        <Health f={f} />
      </div>
      <Counts hub={hub} f={f} />
      <Ways hub={hub} f={f} />
      <p class="small muted">
        {handlerNames[f.handler]}. {rules(f)}
      </p>
      {problem && <ProblemBanner problem={problem} />}
      {test && <TestResult test={test} close={() => setTest(undefined)} />}
      <div class="row">
        <button
          type="button"
          class="btn primary"
          disabled={!on}
          aria-label={label("Upload files into")}
          onClick={() => files.current?.click()}
        >
          <Icon name="upload" /> Upload files
        </button>
        <button
          type="button"
          class="btn"
          disabled={!on}
          aria-label={label("Upload a folder of this computer into")}
          onClick={() => folder.current?.click()}
        >
          <Icon name="folder" /> Upload a folder
        </button>
        <input ref={files} type="file" multiple hidden aria-label={label("Files for")} onChange={take} />
        <input
          type="file"
          hidden
          aria-label={label("Folder for")}
          onChange={take}
          ref={(i) => {
            folder.current = i;
            // Not known to JSX; every engine has it.
            if (i) i.webkitdirectory = true;
          }}
        />
      </div>
      <div class="row">
        <button type="button" class="btn small" aria-label={label("Edit")} onClick={() => p.ask("edit", f)}>
          Edit
        </button>
        <Act small do={tryIt} failed={failed} aria-label={label("Test")}>
          Test
        </Act>
        {f.source !== "uploads" && (
          <Act
            small
            do={() => act("scan", `${f.name} is being looked at.`)}
            failed={failed}
            aria-label={label("Look now into")}
          >
            Look now
          </Act>
        )}
        {f.paused ? (
          <Act
            small
            icon="play"
            do={() => act("resume", `${f.name} takes files again.`)}
            failed={failed}
            aria-label={label("Resume")}
          >
            Resume
          </Act>
        ) : (
          <Act
            small
            icon="pause"
            do={() => act("pause", `${f.name} is paused. What is at work is finished.`)}
            failed={failed}
            aria-label={label("Pause")}
          >
            Pause
          </Act>
        )}
        <button
          type="button"
          class="btn small"
          aria-label={label("Machine credential of")}
          onClick={() => p.ask("credential", f)}
        >
          <Icon name="link" size={16} /> {f.client_id ? "Credential" : "Activate"}
        </button>
        <button type="button" class="btn small danger" aria-label={label("Remove")} onClick={() => p.ask("remove", f)}>
          Remove…
        </button>
      </div>
    </li>
  );
}

/** What the folder does beside the usual, in one sentence or two. */
function rules(f: DropFolder): string {
  const words = [];
  if (f.match === "match_or_add") words.push("Replaces the entry with the file's reference id, if there is one.");
  if (f.match === "match_or_wait") words.push("Files wait for an entry with their reference id.");
  if (f.source !== "uploads")
    words.push(
      f.delete === "after_days"
        ? `Files are deleted ${count(f.delete_days, "day")} after their entry is ready.`
        : f.delete === "manual"
          ? "Files are never deleted by themselves."
          : `Files are deleted: ${deleteNames[f.delete]?.toLowerCase()}.`,
    );
  return words.join(" ");
}

function Health({ f }: { f: DropFolder }) {
  const now = useNow();
  const h = f.health;
  // Paused is what somebody wanted, and no mistake.
  const stopped = f.paused ? undefined : f.stopped;
  const wrong =
    stopped ?? (h.state === "failing" ? (h.error ?? { message: "It does not work.", next_step: "" }) : null);
  const [icon, tone, words]: [IconName, string, string] = f.paused
    ? ["pause", "warn", "Paused: takes no more files."]
    : h.state === "ok"
      ? ["check", "ok", "Works."]
      : f.source === "uploads"
        ? ["check", "ok", "Ready for files."]
        : ["info", "warn", "Not looked at yet."];
  const looked = h.last_at && f.source !== "uploads" ? `Looked ${passed(h.last_at, now)} ago` : "";
  return (
    <div class="health" data-health={stopped ? "stopped" : f.paused ? "paused" : h.state}>
      <Icon name={wrong ? "error" : icon} class={wrong ? "bad" : tone} />
      <div>
        {wrong ? (
          <>
            <p>
              <strong>{wrong.message}</strong> {wrong.next_step}
            </p>
            {h.since && <p class="small muted">Since {passed(h.since, now)}.</p>}
          </>
        ) : (
          <p>{words}</p>
        )}
        {looked && (
          <p class="small muted tabular">
            {[looked, h.files !== undefined && count(h.files, "file"), h.took_ms !== undefined && `${h.took_ms} ms`]
              .filter(Boolean)
              .join(" · ")}
          </p>
        )}
        <Lag f={f} now={now} />
      </div>
    </div>
  );
}

/** How much is not done yet, and for how long. */
function Lag({ f, now }: { f: DropFolder; now: number }) {
  const open = stateOrder.filter((s) => !over(s) && s !== "deletion_due");
  const n = open.reduce((sum, s) => sum + (f.states[s]?.files ?? 0), 0);
  const size = open.reduce((sum, s) => sum + (f.states[s]?.bytes ?? 0), 0);
  if (n === 0) return null;
  return (
    <p class="small muted tabular">
      Behind by {count(n, "file")}
      {size > 0 && `, ${bytes(size)}`}
      {f.health.behind_since && `; the oldest came ${passed(f.health.behind_since, now)} ago`}.
    </p>
  );
}

/** How many are in which group of states; each leads to them. */
function Counts({ hub, f }: { hub: string; f: DropFolder }) {
  const some = groups
    .map(([name, states, tone]) => ({
      name,
      states,
      tone,
      n: states.reduce((n, s) => n + (f.states[s]?.files ?? 0), 0),
    }))
    .filter((g) => g.n > 0);
  if (some.length === 0) return <p class="muted small">No files yet.</p>;
  return (
    <div class="counts">
      {some.map((g) => (
        <a
          key={g.name}
          class={`count ${g.tone}`}
          href={`/hubs/${hub}/drop-folders?tab=files&folder=${f.id}&state=${g.states.join(",")}`}
        >
          <b>{g.n.toLocaleString("en")}</b>
          <span>
            {g.name}
            <span class="visually-hidden"> in {f.name}</span>
          </span>
        </a>
      ))}
    </div>
  );
}

/** How files get into a folder: each with its button. */
function Ways({ hub, f }: { hub: string; f: DropFolder }) {
  const ways: [string, string][] = [
    ["Page for uploads", `${location.origin}/hubs/${hub}/drop-folders?to=${f.id}`],
    ["From a command line", `isthmusctl send --folder ${f.id} FILES`],
  ];
  if (f.source === "directory") ways.unshift(["Directory, below the server's drop root", f.path]);
  if (f.source === "bucket")
    ways.unshift([
      f.bucket?.endpoint ? `Bucket at ${f.bucket.endpoint}` : "Bucket",
      `s3://${f.bucket?.name ?? ""}/${f.path}`,
    ]);
  return (
    <details>
      <summary>
        Ways in<span class="visually-hidden"> to {f.name}</span>
      </summary>
      <div class="ways">
        {ways.map(([name, text]) => (
          <div class="way" key={name}>
            <span>{name}</span>
            <code>{text}</code>
            <CopyButton text={text} />
          </div>
        ))}
      </div>
    </details>
  );
}

export function TestResult({ test, close }: { test: DropFolderTest; close: () => void }) {
  return (
    <div class="stack-s" role="status">
      <ul class="checks">
        {test.checks.map((c) => (
          <li key={c.check} class={c.ok ? "ok" : "failed"}>
            <Icon name={c.ok ? "check" : "error"} />
            <span class="wrap">
              <span class="visually-hidden">{c.ok ? "Good: " : "Failed: "}</span>
              {c.text}
            </span>
            {c.next_step && <span class="fix">{c.next_step}</span>}
          </li>
        ))}
      </ul>
      {test.files.length > 0 && (
        <ul class="bullets small" aria-label="Some of the files there">
          {test.files.map((x) => (
            <li key={x.name} class="wrap">
              <bdi>{x.name}</bdi>{" "}
              <span class="muted">
                {x.taken
                  ? [
                      x.reference_id && `reference id ${x.reference_id}`,
                      x.user_id && `for ${x.user_id}`,
                      x.tags?.length && `tags ${x.tags.join(", ")}`,
                      x.category && `in ${x.category}`,
                    ]
                      .filter(Boolean)
                      .join(", ") || "taken"
                  : `not taken: ${(x.why ?? "").replaceAll("_", " ")}`}
              </span>
            </li>
          ))}
        </ul>
      )}
      <div class="row">
        <button type="button" class="btn small" onClick={close}>
          Close the test
        </button>
      </div>
    </div>
  );
}
