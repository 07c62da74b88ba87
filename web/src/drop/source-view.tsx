import type { Ref } from "preact";
import { useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { cut, linesOf, offsetOf, windowOf } from "./source";

/** Where something is wrong. */
export interface Mark {
  line: number;
  column: number;
  bad: boolean; // else a warning
}

/** Moves to a place. */
export interface Jumper {
  jump(line: number, column: number): void;
}

/** Texts up to here can be edited; larger ones are shown in part. */
export const EDITABLE = 1_000_000;

interface Props {
  text: string;
  set?: (text: string) => void;
  marks: Mark[];
  describedBy?: string;
  jumper: Ref<Jumper>;
}

/** A text with line numbers, on which places are marked. */
export function SourceView(p: Props) {
  return p.text.length > EDITABLE ? <Excerpt {...p} /> : <Editor {...p} />;
}

const LINE = 22; // px, as in the style sheet

function Editor({ text, set, marks, describedBy, jumper }: Props) {
  const area = useRef<HTMLTextAreaElement>(null);
  const probe = useRef<HTMLSpanElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  const count = useMemo(() => linesOf(text).length, [text]);
  const byLine = useMemo(() => worst(marks), [marks]);
  useLayoutEffect(() => {
    const box = area.current!;
    const look = () => setHeight(box.clientHeight);
    look();
    const watch = new ResizeObserver(look);
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  useImperativeHandle(jumper, () => ({
    jump(line, column) {
      const box = area.current!;
      const at = offsetOf(box.value, line, column);
      box.focus({ preventScroll: true });
      box.setSelectionRange(at, at + ((box.value.codePointAt(at) ?? 0) > 0xffff ? 2 : 1));
      const wide = probe.current!.getBoundingClientRect().width / 10;
      box.scrollTop = Math.max(0, (line - 4) * LINE);
      box.scrollLeft = Math.max(0, column * wide - box.clientWidth / 2);
      box.scrollIntoView({ block: "nearest" });
    },
  }));
  const first = Math.max(1, Math.floor(top / LINE) - 2);
  const last = Math.min(count, Math.ceil((top + height) / LINE) + 2);
  const numbers = [];
  for (let n = first; n <= last; n++) {
    const mark = byLine.get(n);
    numbers.push(
      <i
        key={n}
        class={mark === undefined ? "" : mark ? "bad" : "warn"}
        style={{ insetBlockStart: `${(n - 1) * LINE}px` }}
      >
        {n}
      </i>,
    );
  }
  return (
    <div class="source" style={{ "--digits": String(count).length }}>
      <div class="gutter" aria-hidden="true">
        <div style={{ transform: `translateY(${-top}px)` }}>{numbers}</div>
      </div>
      <textarea
        ref={area}
        wrap="off"
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        aria-label="Manifest"
        aria-describedby={describedBy}
        placeholder="Paste a manifest here, drop a file, or begin with a sample."
        value={text}
        readOnly={!set}
        onInput={(e) => set?.(e.currentTarget.value)}
        onScroll={(e) => setTop(e.currentTarget.scrollTop)}
      />
      <span class="probe" ref={probe} aria-hidden="true">
        0000000000
      </span>
    </div>
  );
}

/** The part of a large text around a place. */
function Excerpt({ text, marks, jumper }: Props) {
  const lines = useMemo(() => linesOf(text), [text]);
  const [at, setAt] = useState<{ line: number; column: number }>(marks[0] ?? { line: 1, column: 1 });
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    box.current?.querySelector(".here")?.scrollIntoView({ block: "center" });
  }, [at]);
  useImperativeHandle(jumper, () => ({
    jump(line, column) {
      setAt({ line, column });
      box.current?.focus({ preventScroll: true });
    },
  }));
  const [from, to] = windowOf(lines.length, at.line);
  const byLine = worst(marks);
  return (
    <div class="stack-s">
      <p class="small muted">
        Lines {from} to {to} of {lines.length}. It is too large to be edited here.
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard has to reach it */}
      <pre class="source excerpt" ref={box} tabIndex={0} role="region" aria-label="Manifest, the part around a mistake">
        {lines.slice(from - 1, to).map((line, i) => {
          const n = from + i;
          const mark = byLine.get(n);
          const here = n === at.line;
          const [before, that, after] = cut(line.slice(0, 2000), here ? at.column : 1);
          return (
            <span key={n} class={`${mark === undefined ? "" : mark ? "bad" : "warn"} ${here ? "here" : ""}`}>
              <i aria-hidden="true">{n}</i>
              {before}
              {here ? <mark>{that || " "}</mark> : that}
              {after}
              {"\n"}
            </span>
          );
        })}
      </pre>
    </div>
  );
}

/** By line whether something there is wrong (true) or to be looked at (false). */
function worst(marks: Mark[]): Map<number, boolean> {
  const out = new Map<number, boolean>();
  for (const m of marks) out.set(m.line, m.bad || (out.get(m.line) ?? false));
  return out;
}
