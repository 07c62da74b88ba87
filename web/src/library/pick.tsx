// Choosing: the same library, where items can be selected for somebody else to use.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { LibraryItem, Media } from "../api";
import { Icon } from "../ui/icons";

/** What is known of an item when it is chosen. */
export interface Choice {
  source: "library" | "kaltura";
  id: string;
  entryId: string;
  name: string;
  type: Media["type"];
  is360: boolean;
  durationMs: number;
  thumbnail: string;
  ready: boolean;
}

export interface Picking {
  types: Media["type"][]; // empty = all
  multiple: boolean;
  chosen: ReadonlyMap<string, Choice>;
  toggle: (c: Choice) => void;
}

/** null where nothing is to be chosen: on our own pages. */
export const PickingContext = createContext<Picking | null>(null);

export const usePicking = () => useContext(PickingContext);

export const choiceKey = (c: Choice) => `${c.source}/${c.id}`;

export function choiceOfMedia(m: Media): Choice {
  return {
    source: "kaltura",
    id: m.id,
    entryId: m.id,
    name: m.name,
    type: m.type,
    is360: m.is_360,
    durationMs: m.duration_ms,
    thumbnail: m.thumbnail_url,
    ready: m.status === "ready",
  };
}

export function choiceOfItem(it: LibraryItem): Choice {
  return {
    source: "library",
    id: it.id,
    entryId: it.entry_id,
    name: it.name,
    type: it.type,
    is360: it.is_360,
    durationMs: it.duration_ms,
    thumbnail: it.thumbnail_url,
    ready: it.state === "ready",
  };
}

/** The types to ask for: the one filtered by, or all that may be chosen. */
export function typesOf(picking: Picking | null, filter = ""): Media["type"][] | undefined {
  if (filter) return [filter as Media["type"]];
  return picking?.types.length ? picking.types : undefined;
}

/** The tick on a card. */
export function Tick({ of, inTabOrder }: { of: Choice; inTabOrder: boolean }) {
  const picking = usePicking();
  if (!picking || !of.ready) return null;
  return (
    <label class="tick">
      <input
        type="checkbox"
        aria-label={`Select ${of.name}`}
        tabIndex={inTabOrder ? 0 : -1}
        checked={picking.chosen.has(choiceKey(of))}
        onChange={() => picking.toggle(of)}
      />
    </label>
  );
}

/** Chooses what is being previewed, and goes back to the list. */
export function ChooseButton({ of, close }: { of: Choice; close: () => void }) {
  const picking = usePicking();
  if (!picking || !of.ready) return null;
  const chosen = picking.chosen.has(choiceKey(of));
  return (
    <button
      type="button"
      class={`btn ${chosen ? "" : "primary"}`}
      onClick={() => {
        picking.toggle(of);
        close();
      }}
    >
      <Icon name={chosen ? "close" : "check"} /> {chosen ? "Do not use this" : "Select this"}
    </button>
  );
}
