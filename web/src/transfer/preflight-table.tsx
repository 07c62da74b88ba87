import { useState } from "preact/hooks";
import type { TransferAccount } from "../api";
import { bytes, count } from "../format";
import { Icon } from "../ui/icons";
import { Act, Area, Banner, Field, ProblemBanner } from "../ui/parts";
import { batch } from "./batch";
import { type Check, hidesSomething, kindOf, type Row, type Tone, titleOf } from "./preflight";
import { speedProblem } from "./speed";
import { ChooseSpeed } from "./speed-fields";

/** Rows drawn at once; a folder of thousands is shown in portions. */
const PORTION = 100;

const badges: Record<Tone, [string, string]> = {
  reading: ["Reading", ""],
  ok: ["Ready", "ok"],
  warn: ["Look", "warn"],
  bad: ["Left out", "bad"],
};

/** The chosen files before the start, with what is wrong with them and how they will be called. */
export function Preflight({
  hubName,
  on,
  account,
  started,
}: {
  hubName: string;
  on: boolean;
  account?: TransferAccount;
  started: () => void;
}) {
  const rows = batch.rows.value;
  const checks = batch.checks.value;
  const picked = batch.picked.value;
  const good = batch.good.value;
  const [shown, setShown] = useState(PORTION);
  const listing = batch.listing.value > 0;
  const problem = batch.problem.value;
  if (rows.length === 0 && !listing && !problem) return null;
  const bad = rows.filter((r) => checks.get(r.id)?.tone === "bad");
  const size = good.reduce((n, r) => n + r.file.size, 0);
  const allPicked = rows.length > 0 && rows.every((r) => picked.has(r.id));
  const pickAll = (yes: boolean) => {
    batch.picked.value = new Set(yes ? rows.map((r) => r.id) : []);
  };
  return (
    <section class="card stack" aria-labelledby="preflight-title">
      <div class="spread">
        <h2 id="preflight-title">To be sent</h2>
        {rows.length > 0 && (
          <button type="button" class="btn small" onClick={() => batch.clear()}>
            Empty the list
          </button>
        )}
      </div>
      <p role="status" class="muted" data-testid="preflight-state">
        {listing ? (
          <>
            <span class="spin" /> Reading folders, {count(rows.length, "file")} so far. The start waits for the whole
            list.
          </>
        ) : batch.reading.value ? (
          <>
            <span class="spin" /> Reading {count(rows.length, "file")}
          </>
        ) : (
          summary(good.length, size, bad.length, batch.litter.value, batch.free.value)
        )}
      </p>
      {problem && <ProblemBanner problem={problem} />}
      {rows.length > 1 && (
        <label class="tick">
          <input type="checkbox" checked={allPicked} onChange={(e) => pickAll(e.currentTarget.checked)} />
          <span>Choose all, to edit them together</span>
        </label>
      )}
      {picked.size > 0 && <BulkEdit picked={picked} />}
      {rows.length > 0 && (
        <div class="table-wrap">
          <table class="table preflight">
            <thead>
              <tr>
                <th scope="col">
                  <span class="visually-hidden">Chosen</span>
                </th>
                <th scope="col">File</th>
                <th scope="col">Title, tags, description</th>
                <th scope="col">Size</th>
                <th scope="col">Checks</th>
                <th scope="col">
                  <span class="visually-hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, shown).map((r) => (
                <One key={r.id} r={r} check={checks.get(r.id)!} picked={picked.has(r.id)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rows.length > shown && (
        <div class="row">
          <button type="button" class="btn small" onClick={() => setShown(shown + PORTION)}>
            Show {Math.min(PORTION, rows.length - shown)} more
          </button>
          <span class="muted small">
            {count(shown, "file")} of {rows.length} shown; all are sent.
          </span>
        </div>
      )}
      {rows.length > 0 && account && (
        <ChooseSpeed value={batch.speed.value} set={(s) => batch.choose(s)} account={account} />
      )}
      {rows.length > 0 && (
        <div class="row">
          <Act
            kind="primary"
            icon="upload"
            disabled={!on || batch.reading.value || good.length === 0 || !!speedProblem(batch.speed.value)}
            do={async () => {
              const before = batch.rows.peek().length;
              await batch.start();
              if (batch.rows.peek().length < before) started();
            }}
          >
            <span class="wrap">
              {good.length === 0 ? "Nothing to send" : `Send ${count(good.length, "file")} to ${hubName}`}
            </span>
          </Act>
        </div>
      )}
    </section>
  );
}

function summary(good: number, size: number, bad: number, litter: number, free?: number): string {
  const parts = [`${count(good, "file")}, ${bytes(size)}`];
  if (bad > 0) parts.push(`${bad} left out`);
  if (litter > 0) parts.push(`${count(litter, "system file")} not listed`);
  if (free !== undefined) parts.push(`the hub's quota has room for ${bytes(free)}`);
  return `${parts.join(" · ")}.`;
}

function One({ r, check, picked }: { r: Row; check: Check; picked: boolean }) {
  const [word, tone] = badges[check.tone];
  const name = r.file.name;
  const edit = (change: Partial<Row>) => batch.edit(new Set([r.id]), () => change);
  // What goes on has its title and tags already.
  const fixed = !!check.continues;
  return (
    <tr data-file={name} data-check={check.tone}>
      <td>
        <label class="tick">
          <input
            type="checkbox"
            aria-label={`Choose ${name}`}
            checked={picked}
            onChange={(e) => {
              const next = new Set(batch.picked.peek());
              if (e.currentTarget.checked) next.add(r.id);
              else next.delete(r.id);
              batch.picked.value = next;
            }}
          />
        </label>
      </td>
      <td data-label="File">
        {r.folder && (
          <span class="small muted">
            <bdi>{r.folder}</bdi>
          </span>
        )}
        <span class="file">
          <bdi>{hidesSomething(name) ? JSON.stringify(name) : name}</bdi>
        </span>
        <span class="small muted">{kindOf(r.file)}</span>
      </td>
      <td data-label="Title, tags, description">
        {fixed ? (
          <bdi>{check.continues!.title}</bdi>
        ) : (
          <div class="stack-s">
            <input
              class="input"
              aria-label={`Title of ${name}`}
              value={r.title}
              placeholder={titleOf(name)}
              maxLength={1000}
              autocomplete="off"
              onInput={(e) => edit({ title: e.currentTarget.value })}
            />
            <input
              class="input"
              aria-label={`Tags of ${name}, separated by commas`}
              value={r.tags}
              placeholder="Tags, with commas"
              maxLength={1000}
              autocomplete="off"
              onInput={(e) => edit({ tags: e.currentTarget.value })}
            />
            <details class="small">
              <summary class="one-line">
                <span class="visually-hidden">{name}: </span>
                {r.description.trim() ? `Description: ${r.description}` : "Description"}
              </summary>
              <textarea
                class="input"
                aria-label={`Description of ${name}`}
                rows={2}
                value={r.description}
                maxLength={10_000}
                onInput={(e) => edit({ description: e.currentTarget.value })}
              />
            </details>
          </div>
        )}
      </td>
      <td data-label="Size" class="tabular nowrap">
        {bytes(r.file.size)}
      </td>
      <td data-label="Checks">
        <span class={`badge ${tone}`}>{word}</span> <span class="small">{check.tone !== "reading" && check.text}</span>
      </td>
      <td>
        <button
          type="button"
          class="btn icon"
          aria-label={`Take ${name} off the list`}
          onClick={() => batch.remove(new Set([r.id]))}
        >
          <Icon name="close" />
        </button>
      </td>
    </tr>
  );
}

function BulkEdit({ picked }: { picked: ReadonlySet<number> }) {
  const [title, setTitle] = useState("");
  const [tags, setTags] = useState("");
  const [description, setDescription] = useState("");
  return (
    <Banner tone="info">
      <form
        class="stack-s"
        aria-label="Edit the chosen files together"
        onSubmit={(e) => {
          e.preventDefault();
          batch.editAll(picked, title, tags, description);
          setTitle("");
          setTags("");
          setDescription("");
        }}
      >
        <p>
          <strong>{count(picked.size, "file")} chosen</strong>
        </p>
        <div class="fields">
          <Field
            label="Title of each"
            value={title}
            set={setTitle}
            maxLength={1000}
            hint="{name} stands for the file's own name, {n} for its number. Empty: as it is."
          />
          <Field label="Add tags" value={tags} set={setTags} maxLength={1000} hint="Separated by commas." />
          <Area label="Description of each" value={description} set={setDescription} rows={2} maxLength={10_000} />
        </div>
        <div class="row">
          <button type="submit" class="btn small" disabled={!title.trim() && !tags.trim() && !description.trim()}>
            Apply to {count(picked.size, "file")}
          </button>
          <button type="button" class="btn small danger" onClick={() => batch.remove(picked)}>
            Take them off the list
          </button>
        </div>
      </form>
    </Banner>
  );
}
