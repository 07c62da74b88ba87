import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { type Choice, choiceKey, Tick, usePicking } from "./pick";

/** Where an arrow key leads from one of `boxes`; the same place when there is nothing beyond. */
export function step(boxes: { left: number; top: number }[], from: number, key: string, rtl = false): number {
  const last = boxes.length - 1;
  const here = boxes[from];
  if (!here) return 0;
  switch (key) {
    case "Home":
      return 0;
    case "End":
      return last;
    case "ArrowRight":
    case "ArrowLeft": {
      const forward = (key === "ArrowRight") !== rtl;
      return Math.min(last, Math.max(0, from + (forward ? 1 : -1)));
    }
    case "ArrowDown":
    case "ArrowUp":
    case "PageDown":
    case "PageUp": {
      const down = key.endsWith("Down");
      const rows = [...new Set(boxes.map((b) => b.top))].sort((a, b) => a - b);
      const at = rows.indexOf(here.top);
      const jump = key.startsWith("Page") ? 4 : 1;
      const row = rows[Math.min(rows.length - 1, Math.max(0, at + (down ? jump : -jump)))];
      if (row === here.top) return from;
      let best = from;
      let distance = Number.POSITIVE_INFINITY;
      for (const [i, b] of boxes.entries()) {
        if (b.top === row && Math.abs(b.left - here.left) < distance) {
          distance = Math.abs(b.left - here.left);
          best = i;
        }
      }
      return best;
    }
    default:
      return from;
  }
}

const moves = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

/** Cards of which one is in the tab order; arrows go between them, Enter opens, Space selects where there is something to select for. */
export function Grid<T extends { id: string }>(p: {
  label: string;
  items: T[];
  before?: ComponentChildren;
  open: (t: T) => void;
  card: (t: T) => ComponentChildren;
  choice: (t: T) => Choice;
}) {
  const picking = usePicking();
  const list = useRef<HTMLUListElement>(null);
  const [focus, setFocus] = useState("");
  const active = p.items.some((i) => i.id === focus) ? focus : p.items[0]?.id;
  const keys = (e: KeyboardEvent) => {
    const on = e.target as HTMLElement;
    if (picking && e.key === " " && on.matches("button.media")) {
      e.preventDefault();
      on.parentElement?.querySelector<HTMLInputElement>(".tick input")?.click();
      return;
    }
    if (!moves.includes(e.key) || e.ctrlKey || e.metaKey || e.altKey) return;
    const cards = [...list.current!.querySelectorAll<HTMLElement>("button.media")];
    const at = cards.indexOf(document.activeElement as HTMLElement);
    if (at < 0) return;
    e.preventDefault();
    const boxes = cards.map((c) => {
      const b = c.getBoundingClientRect();
      return { left: Math.round(b.left), top: Math.round(b.top) };
    });
    cards[step(boxes, at, e.key, getComputedStyle(list.current!).direction === "rtl")]?.focus();
  };
  return (
    <ul class="grid" aria-label={p.label} ref={list} onKeyDown={keys}>
      {p.before}
      {p.items.map((it) => (
        <li key={it.id} class={picking?.chosen.has(choiceKey(p.choice(it))) ? "chosen" : ""}>
          <button
            type="button"
            class="media"
            data-id={it.id}
            tabIndex={it.id === active ? 0 : -1}
            onFocus={() => setFocus(it.id)}
            onClick={() => p.open(it)}
          >
            {p.card(it)}
          </button>
          <Tick of={p.choice(it)} inTabOrder={it.id === active} />
        </li>
      ))}
    </ul>
  );
}

/** Stand-ins of the same shape, so that nothing jumps when the cards come. */
export function Skeletons() {
  return (
    <div class="grid" aria-hidden="true">
      {Array.from({ length: 8 }, (_, i) => (
        <div class="skeleton" key={i}>
          <div class="thumb" />
          <div class="text">
            <i />
            <i />
          </div>
        </div>
      ))}
    </div>
  );
}
