import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ask } from "../access";
import { announce, say } from "../announce";
import { api, asProblem, call, Problem } from "../api";
import { count, when } from "../format";
import { download } from "../transfer/report";
import { Icon } from "../ui/icons";
import { Act, Banner, Loading, ProblemBanner } from "../ui/parts";
import { samples } from "./samples";
import type { Sender } from "./send";
import { cut, formatOf, linesOf, mediaType } from "./source";
import { EDITABLE, type Jumper, SourceView } from "./source-view";
import type { DropFolder, DropFolderOptions, DropPreview, ManifestFault, ManifestProblem } from "./types";

/** What is to be looked at: a file that was chosen, or the manifest of a folder. */
export interface ToCheck {
  file?: File;
  manifest?: { id: string; name: string; folder: string };
}

interface Outcome {
  text: string; // to which it belongs
  faults: ManifestFault[];
  more: boolean;
  preview?: DropPreview;
}

/** Says what a manifest would make, and what is wrong with it, without making anything. */
export function Check(p: {
  hub: string;
  folders: DropFolder[];
  options?: DropFolderOptions;
  sender: Sender;
  given?: ToCheck;
  taken: () => void;
}) {
  const { hub, folders } = p;
  const [text, setText] = useState("");
  const [name, setName] = useState("");
  const [folder, setFolder] = useState("");
  const [raw, setRaw] = useState<File>(); // as chosen: another encoding is sent as it is
  const [outcome, setOutcome] = useState<Outcome>();
  const [problem, setProblem] = useState<Problem>();
  const [opening, setOpening] = useState(false);
  const file = useRef<HTMLInputElement>(null);
  const jumper = useRef<Jumper>(null);
  const results = useRef<HTMLDivElement>(null);
  const id = useId();
  const format = formatOf(name, text);
  const fresh = outcome?.text === text ? outcome : undefined;

  const begin = (t: string, n: string, f?: File) => {
    setText(t);
    setName(n);
    setRaw(f);
    setOutcome(undefined);
    setProblem(undefined);
  };
  const open = async (f: File) => {
    const most = p.options?.max_document_bytes ?? 64 << 20;
    if (f.size > most) {
      setProblem(
        new Problem({
          status: 413,
          code: "manifest_too_large",
          detail: `${f.name} is too large for a manifest.`,
          next_step: "Split it into several.",
        }),
      );
      return;
    }
    begin(decoded(new Uint8Array(await f.arrayBuffer())), f.name, f);
  };
  useEffect(() => {
    const { given } = p;
    if (!given) return;
    p.taken();
    if (given.file) void open(given.file);
    const m = given.manifest;
    if (!m) return;
    setOpening(true);
    setFolder(m.folder);
    call(api.GET("/v1/hubs/{hub}/drop-folders/files/{id}/manifest", { params: { path: { hub, id: m.id } } }))
      .then((source) => {
        begin(source.text, m.name);
        if (source.truncated) say("Only its beginning can be shown.");
      })
      .catch((e) => setProblem(asProblem(e)))
      .finally(() => setOpening(false));
  }, [p.given]);

  const look = async () => {
    setProblem(undefined);
    const body = raw ?? new Blob([text]);
    const found = await validate(hub, folder, format, body);
    setOutcome({ text, ...found });
    announce(
      found.faults.length > 0
        ? `${count(found.faults.length, "mistake")}${found.more ? " at least" : ""}.`
        : `It is right: ${count(found.preview?.total ?? 0, "item")}.`,
    );
    setTimeout(() => results.current?.focus());
  };
  const marks = [
    ...(fresh?.faults ?? []).map((f) => ({ line: f.line, column: f.column, bad: true })),
    ...(fresh?.preview?.warnings ?? []).map((f) => ({ line: f.line, column: f.column, bad: false })),
  ];
  const target = folders.find((f) => f.id === folder);
  const named = name || `manifest.${format}`;
  return (
    <div class="stack">
      <div class="stack-s">
        <h2>Check a manifest</h2>
        <p class="muted">
          Kaltura's ingestion XML, or the same as JSON or CSV. Nothing is made: you see what would be, and each mistake
          with its place. <a href="/docs/manifests">What a manifest can say</a>
        </p>
      </div>
      <div class="tool-row">
        <button type="button" class="btn" onClick={() => file.current?.click()}>
          <Icon name="file" /> Choose a file
        </button>
        <input
          ref={file}
          type="file"
          hidden
          accept=".xml,.json,.csv"
          aria-label="Manifest to check"
          onChange={(e) => {
            const f = e.currentTarget.files?.[0];
            e.currentTarget.value = "";
            if (f) void open(f);
          }}
        />
        <div class="field">
          <label for={`${id}-s`}>Begin with a sample</label>
          <select
            id={`${id}-s`}
            value=""
            onChange={(e) => {
              const f = e.currentTarget.value as keyof typeof samples;
              if (samples[f]) begin(samples[f], `sample.${f}`);
            }}
          >
            <option value="">Choose…</option>
            <option value="xml">XML</option>
            <option value="json">JSON</option>
            <option value="csv">CSV</option>
          </select>
        </div>
        <div class="field">
          <label for={`${id}-f`}>As if dropped into</label>
          <select id={`${id}-f`} value={folder} onChange={(e) => setFolder(e.currentTarget.value)}>
            <option value="">No folder: its form only</option>
            {folders.map((f) => (
              <option key={f.id} value={f.id}>
                {f.name}
              </option>
            ))}
          </select>
        </div>
        {p.options?.xsd_url && (
          <a class="btn" href={p.options.xsd_url} download="drop-folder.xsd">
            <Icon name="import" /> XML schema
          </a>
        )}
      </div>
      {problem && <ProblemBanner problem={problem} />}
      {opening && <Loading what="Opening the manifest" />}
      <div class="check-grid">
        <div class="stack-s">
          <SourceView
            text={text}
            set={(t) => {
              setText(t);
              setRaw(undefined);
            }}
            marks={marks}
            describedBy={`${id}-d`}
            jumper={jumper}
          />
          <p class="small muted" id={`${id}-d`}>
            {text
              ? `${named} · ${format.toUpperCase()} · ${count(linesOf(text).length, "line")}`
              : "Tab moves on; it types nothing here."}
          </p>
          <div class="row">
            <Act kind="primary" disabled={!text.trim()} do={look} failed={setProblem}>
              Check it
            </Act>
            {text && (
              <button
                type="button"
                class="btn"
                onClick={() => download(named, mediaType[format], text)}
                disabled={text.length > EDITABLE && !raw}
              >
                <Icon name="import" /> Download
              </button>
            )}
            {target && fresh && fresh.faults.length === 0 && (
              <Act
                do={async () => {
                  await p.sender.files(target, [
                    { file: raw ?? new File([text], named, { type: mediaType[format] }), folder: "" },
                  ]);
                  if (p.sender.problem.value) throw p.sender.problem.value;
                  say(`${named} is on its way to ${target.name}.`);
                }}
                failed={setProblem}
              >
                Send it to {target.name}
              </Act>
            )}
          </div>
        </div>
        <div class="stack-s bare-focus" ref={results} tabIndex={-1} role="region" aria-label="What was found">
          {!fresh && !outcome && <p class="muted">What is found is shown here.</p>}
          {!fresh && outcome && (
            <Banner tone="info">
              <p>The text was changed since it was checked.</p>
            </Banner>
          )}
          {outcome && <Found o={outcome} lines={outcome.text} jump={(f) => jumper.current?.jump(f.line, f.column)} />}
        </div>
      </div>
      {fresh?.preview && (
        <Preview preview={fresh.preview} jump={(line, column) => jumper.current?.jump(line, column)} />
      )}
    </div>
  );
}

/** Text as its byte order mark says, else UTF-8. */
function decoded(b: Uint8Array): string {
  const mark = b[0] === 0xff && b[1] === 0xfe ? "utf-16le" : b[0] === 0xfe && b[1] === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(mark).decode(b);
}

/** The manifest goes as it is: a stream in its own format, which no client that was generated knows how to make. */
async function validate(
  hub: string,
  folder: string,
  format: keyof typeof mediaType,
  body: Blob,
): Promise<Omit<Outcome, "text">> {
  const query = folder ? `?folder=${encodeURIComponent(folder)}` : "";
  let r: Response;
  try {
    r = await ask(
      new Request(`/v1/hubs/${encodeURIComponent(hub)}/drop-folders/validate${query}`, {
        method: "POST",
        body,
        headers: { "Content-Type": mediaType[format] },
      }),
    );
  } catch (e) {
    throw asProblem(e);
  }
  const answer: unknown = await r
    .json()
    .catch(() => ({ status: r.status, detail: `The server answered ${r.status}.` }));
  if (r.ok) return { faults: [], more: false, preview: answer as DropPreview };
  const p = answer as Partial<ManifestProblem>;
  if (r.status === 422 && p.faults) return { faults: p.faults, more: p.more ?? false, preview: p.preview };
  throw new Problem(p as ConstructorParameters<typeof Problem>[0]);
}

function Found({ o, lines, jump }: { o: Outcome; lines: string; jump: (f: ManifestFault) => void }) {
  const warnings = o.preview?.warnings ?? [];
  const source = linesOf(lines);
  return (
    <div class="stack-s">
      {o.faults.length === 0 ? (
        <Banner tone="good">
          <p>
            <strong>It is right.</strong> {count(o.preview?.total ?? 0, "item")}
            {warnings.length > 0 ? `, and ${count(warnings.length, "thing")} to look at.` : "."}
          </p>
        </Banner>
      ) : (
        <h3>
          {count(o.faults.length, "mistake")}
          {o.more && ", and more"}
        </h3>
      )}
      {[o.faults.map((f) => ({ f, bad: true })), warnings.map((f) => ({ f, bad: false }))].flat().length > 0 && (
        <ul class="faults" aria-label="Mistakes">
          {[...o.faults.map((f) => ({ f, bad: true })), ...warnings.map((f) => ({ f, bad: false }))].map(
            ({ f, bad }, i) => {
              const [before, that, after] = cut((source[f.line - 1] ?? "").slice(0, 400), f.column);
              return (
                <li key={`${f.line} ${f.column} ${f.rule} ${i}`}>
                  <button type="button" class={`fault ${bad ? "bad" : ""}`} onClick={() => jump(f)}>
                    <span class="small muted">
                      Line {f.line}, column {f.column}
                      {f.item ? ` · item ${f.item}` : ""}
                      {f.fatal && " · nothing after it was read"}
                    </span>
                    <span>
                      <strong>{f.text}</strong> {f.fix}
                    </span>
                    {(before || that) && (
                      <code class="small">
                        {before.trimStart().slice(-60)}
                        <mark>{that || "⏎"}</mark>
                        {after.slice(0, 60)}
                      </code>
                    )}
                    <span class="small muted">
                      Rule <code>{f.rule}</code>
                    </span>
                  </button>
                </li>
              );
            },
          )}
        </ul>
      )}
    </div>
  );
}

const doing: Record<string, [string, string]> = {
  add: ["Add", "ok"],
  update: ["Update", "accent"],
  delete: ["Delete", "bad"],
};

function Preview({ preview, jump }: { preview: DropPreview; jump: (line: number, column: number) => void }) {
  if (preview.items.length === 0) return null;
  const actions = Object.entries(preview.actions ?? {}).map(
    ([a, n]) => `${n} ${doing[a]?.[0]?.toLowerCase() ?? "add or update"}`,
  );
  return (
    <section class="stack-s" aria-labelledby="preview-title">
      <h3 id="preview-title">What would be done</h3>
      <p class="muted">
        {count(preview.total, "item")}
        {actions.length > 0 && `: ${actions.join(", ")}`}
        {preview.truncated && `. The first ${preview.items.length} are shown.`}
      </p>
      <ol class="previews">
        {preview.items.map((x) => {
          const [word, tone] = doing[x.action ?? ""] ?? ["Add or update", ""];
          const title = x.name || x.reference_id || x.entry_id || `Item ${x.number}`;
          const facts = [
            x.type,
            x.entry_id && `entry ${x.entry_id}`,
            x.reference_id && `reference id ${x.reference_id}`,
            x.user_id && `for ${x.user_id}`,
            x.tags?.length && `tags ${x.tags.join(", ")}`,
            x.categories?.length && `in ${x.categories.join(", ")}`,
            x.files?.length && `files ${x.files.join(", ")}`,
            x.urls?.length && `from ${x.urls.join(", ")}`,
            x.thumbnails && count(x.thumbnails, "picture"),
            x.custom_data && count(x.custom_data, "record"),
            x.access_control && `access control ${x.access_control}`,
            x.conversion_profile && `conversion profile ${x.conversion_profile}`,
            x.start_at && `from ${when(x.start_at)}`,
            x.end_at && `until ${when(x.end_at)}`,
          ].filter(Boolean);
          return (
            <li key={x.number}>
              <p class="row">
                <strong>
                  {x.number}. <bdi>{title}</bdi>
                </strong>
                <span class={`badge ${tone}`}>{word}</span>
                <button
                  type="button"
                  class="btn small"
                  aria-label={`Show item ${x.number} in the source, line ${x.line}`}
                  onClick={() => jump(x.line, x.column ?? 1)}
                >
                  Line {x.line}
                </button>
              </p>
              {x.does && <p class="small">{x.does}</p>}
              {facts.length > 0 && <p class="small muted">{facts.join(" · ")}</p>}
            </li>
          );
        })}
      </ol>
    </section>
  );
}
