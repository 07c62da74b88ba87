import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../ui/icons";
import { type Ask, ages, narrowed, setParams, sorts, states, types } from "./query";

/** The search field: asks 300 ms after the last key. */
export function Search({ value, label }: { value: string; label: string }) {
  const [text, setText] = useState(value);
  const input = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  // The address may change from elsewhere: the back button, "clear all".
  useEffect(() => {
    if (document.activeElement !== input.current) setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const set = (t: string, now = false) => {
    setText(t);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setParams({ q: t.trim() || null }), now ? 0 : 300);
  };
  return (
    <search class="search">
      <Icon name="search" />
      <input
        ref={input}
        class="input"
        type="search"
        aria-label={label}
        placeholder={label}
        maxLength={200}
        autocomplete="off"
        value={text}
        onInput={(e) => set(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === "Enter") set(text, true);
        }}
      />
      {text && (
        <button
          type="button"
          class="btn icon"
          aria-label="Clear the search"
          onClick={() => {
            set("", true);
            input.current?.focus();
          }}
        >
          <Icon name="close" size={18} />
        </button>
      )}
    </search>
  );
}

function Toggle({ on, name, children }: { on: boolean; name: string; children: string }) {
  return (
    <button type="button" class="chip" aria-pressed={on} onClick={() => setParams({ [name]: on ? null : "1" })}>
      {children} {on && <Icon name="close" size={14} />}
    </button>
  );
}

function Pick(p: {
  label: string;
  name: string;
  value: string;
  any: string;
  table: Record<string, string>;
  plain?: boolean;
}) {
  return (
    <select
      class={`chip ${p.value && !p.plain ? "set" : ""}`}
      aria-label={p.label}
      value={p.value}
      onChange={(e) => setParams({ [p.name]: e.currentTarget.value || null })}
    >
      {!p.plain && <option value="">{p.any}</option>}
      {Object.entries(p.table).map(([k, v]) => (
        <option key={k} value={k}>
          {v}
        </option>
      ))}
    </select>
  );
}

/** The filters of "From Kaltura". */
export function Filters({ ask }: { ask: Ask }) {
  return (
    <fieldset class="chips bare">
      <legend class="visually-hidden">Filters</legend>
      <Pick label="Type" name="type" value={ask.type} any="Any type" table={types} />
      <Toggle name="is_360" on={ask.is360}>
        360° only
      </Toggle>
      <Toggle name="mine" on={ask.mine}>
        Mine
      </Toggle>
      <Pick label="Date" name="since" value={ask.since} any="Any date" table={ages} />
      <Pick label="Status" name="status" value={ask.status} any="Any status" table={states} />
      <Pick label="Sort" name="sort" value={ask.sort} any="" table={sorts} plain />
      {narrowed(ask) && <ClearAll />}
    </fieldset>
  );
}

export function ClearAll() {
  return (
    <button
      type="button"
      class="btn small"
      onClick={() => setParams({ q: null, type: null, is_360: null, mine: null, status: null, since: null })}
    >
      Clear all
    </button>
  );
}
