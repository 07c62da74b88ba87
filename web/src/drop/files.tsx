import { useEffect, useRef, useState } from "preact/hooks";
import { announce } from "../announce";
import { api, call } from "../api";
import { bytes, count, when } from "../format";
import { setParams } from "../library/query";
import { here } from "../router";
import { Icon } from "../ui/icons";
import { Loading, ProblemBanner, useLoad } from "../ui/parts";
import { type Desk, FileAct } from "./acts";
import { Bulk } from "./bulk";
import { Countdown } from "./countdown";
import {
  addressOf,
  type Filter,
  filterParams,
  filterQuery,
  keepPageSize,
  narrowed,
  nothing,
  pageSize,
  readFilter,
  sizes,
} from "./filter";
import { Filters, orders, Views } from "./filters";
import { useTold } from "./news";
import { baseName } from "./slug";
import type { DropFile, DropFolder } from "./types";
import { fixesOf, receivedWords, someNames, stateMeaning, stateName, stateOrder, stateTone } from "./words";

/** So often is looked at what is being received. */
const GROWN_MS = 2000;

/** The files of all folders: found, chosen, and changed together. */
export function Files(p: {
  hub: string;
  turn: number;
  still: boolean; // nothing is looked at again by itself
  desk: Desk;
  folders: DropFolder[];
  open: (id: string) => void;
}) {
  const { hub, desk } = p;
  const s = here.value.searchParams;
  const filter = readFilter(s, stateOrder);
  const order = orders.find(([o]) => o === s.get("order"))?.[0] ?? "newest";
  const [size, setSize] = useState(pageSize());
  const question = `${addressOf(filter)}&order=${order}&size=${size}`;
  // Where each page before this one begins; another question begins anew.
  const [turned, setTurned] = useState<{ question: string; cursors: string[] }>({ question, cursors: [] });
  const cursors = turned.question === question ? turned.cursors : [];
  const cursor = cursors.at(-1);
  const query = filterQuery(filter);
  const load = useLoad(
    async () => ({
      question,
      page: await call(
        api.GET("/v1/hubs/{hub}/drop-folders/files", {
          params: { path: { hub }, query: { ...query, order, cursor, limit: size } },
        }),
      ),
    }),
    [hub, question, cursor, p.turn],
  );
  const counts = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/drop-folders/counts", { params: { path: { hub }, query } })),
    [hub, question, p.turn],
  );
  const total = counts.data && Object.values(counts.data.states).reduce((n, c) => n + c.files, 0);
  const items = load.data?.question === question ? load.data.page.items : undefined;
  const next = load.data?.question === question ? load.data.page.next : undefined;
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [every, setEvery] = useState(false); // all that the filter finds, not only what is shown
  const head = useRef<HTMLHeadingElement>(null);
  useTold(`${question}&cursor=${cursor}`, items);
  useEffect(() => {
    setPicked(new Set());
    setEvery(false);
  }, [question]);
  // How far uploads of others are is told by no event that all who read this page hear.
  const growing = !p.still && items?.some((f) => receivedWords(f));
  useEffect(() => {
    if (!growing) return;
    const t = setInterval(load.again, GROWN_MS);
    return () => clearInterval(t);
  }, [growing]);
  const asked = useRef("");
  useEffect(() => {
    if (total === undefined) return;
    if (asked.current && asked.current !== question) announce(`${count(total, "file")} found.`);
    asked.current = question;
  }, [question, total]);
  const set = (change: Partial<Filter>) => setParams(filterParams({ ...filter, ...change }));
  const show = (cursors: string[]) => {
    setTurned({ question, cursors });
    setPicked(new Set());
    setEvery(false);
    head.current?.focus();
  };
  const first = cursors.length * size + 1;
  const all = items !== undefined && items.length > 0 && items.every((f) => picked.has(f.id));
  const narrow = narrowed(filter);
  const exported = new URLSearchParams(
    Object.entries({ ...query, state: query.state?.join(","), order }).filter((e): e is [string, string] => !!e[1]),
  );
  const own: Desk = {
    ...desk,
    changed: (f) => {
      desk.changed(f);
      if (load.data) {
        const { page } = load.data;
        load.set({ question, page: { ...page, items: page.items.map((x) => (x.id === f.id ? f : x)) } });
      }
    },
  };
  return (
    <div class="stack">
      <div class="spread">
        <h2 ref={head} tabIndex={-1} class="bare-focus">
          Files
        </h2>
        <a class="btn small" href={`/v1/hubs/${hub}/drop-folders/files/export?${exported}`} download="drop-files.csv">
          <Icon name="import" size={16} /> Export as CSV
        </a>
      </div>
      <Filters filter={filter} set={set} folders={p.folders} order={order} />
      <Views hub={hub} filter={filter} />
      {load.problem && !items && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!items && !load.problem && <Loading />}
      {items?.length === 0 && (
        <div class="empty">
          <Icon name="file" size={44} />
          <h3>{narrow ? "No file like that" : "No files yet"}</h3>
          <p class="muted">
            {narrow
              ? "Nothing in the folders fits this filter."
              : "What is dropped into a folder is listed here from the moment it is seen until long after it is done."}
          </p>
          {narrow && (
            <button type="button" class="btn" onClick={() => setParams(filterParams(nothing))}>
              Clear the filter
            </button>
          )}
        </div>
      )}
      {items && items.length > 0 && (
        <>
          <div class="table-wrap">
            <table class="table files">
              <caption class="visually-hidden">Files of the drop folders</caption>
              <thead>
                <tr>
                  <th scope="col" class="narrow-col">
                    <input
                      type="checkbox"
                      aria-label="Choose all files shown"
                      checked={all}
                      onChange={(e) => {
                        setPicked(new Set(e.currentTarget.checked ? items.map((f) => f.id) : []));
                        setEvery(false);
                      }}
                    />
                  </th>
                  <th scope="col">File</th>
                  <th scope="col">Folder</th>
                  <th scope="col">Seen</th>
                  <th scope="col">Size</th>
                  <th scope="col">Entry</th>
                  <th scope="col">State</th>
                  <th scope="col">Next step</th>
                </tr>
              </thead>
              <tbody>
                {items.map((f) => (
                  <Row
                    key={f.id}
                    hub={hub}
                    f={f}
                    desk={own}
                    picked={every || picked.has(f.id)}
                    pick={(on) => {
                      const now = new Set(picked);
                      if (on) now.add(f.id);
                      else now.delete(f.id);
                      setPicked(now);
                      setEvery(false);
                    }}
                    open={p.open}
                  />
                ))}
              </tbody>
            </table>
          </div>
          {picked.size > 0 && (
            <Bulk
              hub={hub}
              files={items.filter((f) => picked.has(f.id))}
              every={every}
              filter={filter}
              total={total}
              chooseEvery={all && next ? () => setEvery(true) : undefined}
              done={() => {
                setPicked(new Set());
                setEvery(false);
                load.again();
                counts.again();
              }}
              desk={desk}
            />
          )}
        </>
      )}
      {items && (items.length > 0 || cursor) && (
        <nav class="spread" aria-label="Pages of files">
          <p class="muted small tabular">
            {first.toLocaleString("en")} to {(first + items.length - 1).toLocaleString("en")}
            {total !== undefined && ` of ${total.toLocaleString("en")}`}
          </p>
          <div class="row">
            {cursor && (
              <button type="button" class="btn small" onClick={() => show(cursors.slice(0, -1))}>
                Previous page
              </button>
            )}
            {next && (
              <button type="button" class="btn small" onClick={() => show([...cursors, next])}>
                Next page
              </button>
            )}
            <select
              class="chip"
              aria-label="Files on a page"
              value={String(size)}
              onChange={(e) => {
                const n = Number(e.currentTarget.value);
                keepPageSize(n);
                setSize(n);
              }}
            >
              {sizes.map((n) => (
                <option key={n} value={String(n)}>
                  {n} on a page
                </option>
              ))}
            </select>
          </div>
        </nav>
      )}
    </div>
  );
}

function Row(p: {
  hub: string;
  f: DropFile;
  desk: Desk;
  picked: boolean;
  pick: (on: boolean) => void;
  open: (id: string) => void;
}) {
  const { f } = p;
  const base = baseName(f.name);
  const fix = f.state === "quarantined" ? fixesOf(f.reason ?? "", f.type === "manifest")[0] : undefined;
  return (
    <tr data-file={f.id} data-state={f.state} class={p.picked ? "picked" : ""}>
      <td class="narrow-col">
        <input
          type="checkbox"
          aria-label={`Choose ${f.name}`}
          checked={p.picked}
          onChange={(e) => p.pick(e.currentTarget.checked)}
        />
      </td>
      <td data-label="File">
        <button type="button" class="name" aria-haspopup="dialog" onClick={() => p.open(f.id)}>
          <bdi>{base}</bdi>
        </button>
        {base !== f.name && (
          <div class="small muted wrap">
            <bdi>{f.name.slice(0, -base.length)}</bdi>
          </div>
        )}
        {f.type === "manifest" && <div class="small muted">Manifest</div>}
      </td>
      <td data-label="Folder">
        <bdi>{f.folder_name}</bdi>
      </td>
      <td data-label="Seen" class="nowrap">
        <time dateTime={f.created_at}>{when(f.created_at)}</time>
      </td>
      <td data-label="Size" class="nowrap tabular">
        {receivedWords(f) || (f.state === "parsed" ? "–" : bytes(f.size))}
        {receivedWords(f) && (
          <progress class="bar" max={f.size} value={f.received} aria-label={`Received of ${f.name}`} />
        )}
      </td>
      <td data-label="Entry" class={f.entry_id ? "" : "void"}>
        {f.entry_id ? (
          <a href={`/hubs/${p.hub}/library?tab=kaltura&media=${encodeURIComponent(f.entry_id)}`}>{f.entry_id}</a>
        ) : (
          <span class="muted">–</span>
        )}
      </td>
      <td data-label="State">
        <span class={`badge ${stateTone(f.state)}`} title={stateMeaning(f.state)}>
          {stateName(f.state)}
        </span>
        <Explained f={f} />
      </td>
      <td data-label="Next step" class={f.next_step || fix || f.actions.includes("undo") ? "" : "void"}>
        <div class="stack-s next">
          {f.next_step ? <span class="small wrap">{f.next_step}</span> : <span class="muted small">–</span>}
          {(fix || f.actions.includes("undo")) && (
            <span class="row">
              {fix === "validate" && <FileAct f={f} what="validate" desk={p.desk} />}
              {fix && fix !== "validate" && fix !== "folder" && <FileAct f={f} what={fix} desk={p.desk} />}
              <FileAct f={f} what="undo" desk={p.desk} />
            </span>
          )}
        </div>
      </td>
    </tr>
  );
}

/** Why a file is in its state, in a line below it. */
function Explained({ f }: { f: DropFile }) {
  if (f.state === "deletion_due" && f.delete_at && !f.kept) {
    return (
      <div class="small muted tabular">
        in <Countdown at={f.delete_at} />
      </div>
    );
  }
  const text = f.waiting_for.length > 0 ? `For ${someNames(f.waiting_for)}` : f.text;
  if (f.items && f.items.total > 0 && f.state !== "quarantined") {
    return (
      <div class="small muted tabular">
        {f.items.done} of {count(f.items.total, "item")} done{f.items.failed > 0 && `, ${f.items.failed} failed`}
      </div>
    );
  }
  if (f.state === "ready" || !text) return f.kept ? <div class="small muted">Kept</div> : null;
  return <div class="small muted wrap">{text}</div>;
}
