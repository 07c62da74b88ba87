import { useEffect, useId, useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { Choice } from "../kaltura/mappings";
import { setParams } from "../library/query";
import { Dialog, Field } from "../ui/parts";
import {
  addressOf,
  type Filter,
  filterParams,
  keepViews,
  narrowed,
  nothing,
  readFilter,
  typeNames,
  views,
  withView,
} from "./filter";
import type { DropFileState, DropFolder } from "./types";
import { groups, stateName, stateOrder, states } from "./words";

export type Order = "newest" | "oldest" | "latest" | "name" | "largest" | "smallest";
export const orders: [Order, string][] = [
  ["newest", "Newest first"],
  ["oldest", "Oldest first"],
  ["latest", "Last changed"],
  ["name", "By name"],
  ["largest", "Largest first"],
  ["smallest", "Smallest first"],
];

/** Narrows the list; what is chosen lives in the address. */
export function Filters(p: {
  filter: Filter;
  set: (change: Partial<Filter>) => void;
  folders: DropFolder[];
  order: Order;
}) {
  const { filter, set } = p;
  const id = useId();
  const [q, setQ] = useState(filter.q);
  const [ending, setEnding] = useState(filter.ending);
  // The address may change from elsewhere: a view, the back button.
  useEffect(() => setQ(filter.q), [filter.q]);
  useEffect(() => setEnding(filter.ending), [filter.ending]);
  const latest = useRef(set);
  latest.current = set;
  useEffect(() => {
    if (q.trim() === filter.q && ending.trim() === filter.ending) return;
    const t = setTimeout(() => latest.current({ q: q.trim(), ending: ending.trim() }), 300);
    return () => clearTimeout(t);
  }, [q, ending]);
  const state = filter.states.join(",");
  const known = groups.some(([, some]) => some.join(",") === state) || filter.states.length <= 1;
  return (
    <search class="filters">
      <div class="field wide">
        <label for={`${id}-q`}>Search</label>
        <input
          class="input"
          id={`${id}-q`}
          type="search"
          autocomplete="off"
          placeholder="Name, reference id or entry"
          maxLength={200}
          value={q}
          onInput={(e) => setQ(e.currentTarget.value)}
        />
      </div>
      <div class="field">
        <label for={`${id}-s`}>State</label>
        <select
          id={`${id}-s`}
          value={state}
          onChange={(e) => set({ states: e.currentTarget.value.split(",").filter(Boolean) as DropFileState[] })}
        >
          <option value="">All</option>
          {!known && <option value={state}>{filter.states.map(stateName).join(", ")}</option>}
          <optgroup label="Groups">
            {groups
              .filter(([, some]) => some.length > 1)
              .map(([name, some]) => (
                <option key={name} value={some.join(",")}>
                  {name[0]!.toUpperCase() + name.slice(1)}
                </option>
              ))}
          </optgroup>
          <optgroup label="States">
            {stateOrder.map((x) => (
              <option key={x} value={x}>
                {states[x][0]}
              </option>
            ))}
          </optgroup>
        </select>
      </div>
      <Choice
        label="Folder"
        value={filter.folder}
        set={(folder) => set({ folder })}
        options={[["", "All"], ...p.folders.map((f): [string, string] => [f.id, f.name])]}
      />
      <Choice
        label="Type"
        value={filter.type}
        set={(type) => set({ type })}
        options={[["", "All"], ...(Object.entries(typeNames) as [Filter["type"], string][])]}
      />
      <Field label="Ending" value={ending} set={setEnding} maxLength={20} placeholder="mp4" />
      <Day label="Seen from" value={filter.from} set={(from) => set({ from })} />
      <Day label="Seen until" value={filter.to} set={(to) => set({ to })} />
      <Choice
        label="Order"
        value={p.order}
        set={(order) => setParams({ order: order === "newest" ? null : order })}
        options={orders}
      />
    </search>
  );
}

function Day({ label, value, set }: { label: string; value: string; set: (v: string) => void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input class="input" id={id} type="date" value={value} onInput={(e) => set(e.currentTarget.value)} />
    </div>
  );
}

/** Filters that have a name, kept in this browser. */
export function Views({ hub, filter }: { hub: string; filter: Filter }) {
  const [all, setAll] = useState(() => views(hub));
  const [naming, setNaming] = useState(false);
  const [name, setName] = useState("");
  const now = addressOf(filter);
  const current = all.find((v) => v.address === now);
  const keep = (list: typeof all) => {
    setAll(list);
    keepViews(hub, list);
  };
  if (all.length === 0 && !narrowed(filter)) return null;
  return (
    <div class="stack-s">
      <div class="chips" role="group" aria-label="Saved views">
        {all.map((v) => (
          <button
            key={v.name}
            type="button"
            class="chip"
            aria-pressed={v === current}
            onClick={() => setParams(filterParams(readFilter(new URLSearchParams(v.address), stateOrder)))}
          >
            <bdi>{v.name}</bdi>
          </button>
        ))}
        {narrowed(filter) && (
          <button type="button" class="btn small" onClick={() => setParams(filterParams(nothing))}>
            Clear the filter
          </button>
        )}
        {narrowed(filter) && !current && (
          <button type="button" class="btn small" onClick={() => setNaming(true)}>
            Save this view…
          </button>
        )}
        {current && (
          <button
            type="button"
            class="btn small"
            onClick={() => {
              keep(all.filter((v) => v !== current));
              say(`The view ${current.name} was removed.`);
            }}
          >
            Remove the view {current.name}
          </button>
        )}
      </div>
      {naming && (
        <Dialog slim title="Save this view" close={() => setNaming(false)}>
          <form
            class="stack"
            onSubmit={(e) => {
              e.preventDefault();
              const n = name.trim();
              if (!n) return;
              keep(withView(all, n, filter));
              setNaming(false);
              setName("");
              say(`The view ${n} was saved in this browser.`);
            }}
          >
            <Field label="Name of the view" value={name} set={setName} maxLength={60} />
            <div class="row">
              <button type="submit" class="btn primary" disabled={!name.trim()}>
                Save view
              </button>
            </div>
          </form>
        </Dialog>
      )}
    </div>
  );
}
