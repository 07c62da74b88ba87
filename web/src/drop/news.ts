// What happens in the hub's folders while the page is open, at a pace that people can follow.
import { useEffect, useRef, useState } from "preact/hooks";
import { announce } from "../announce";
import { follow, type LiveEvent } from "../live";
import { changeWords } from "./words";

/** Lists are looked at again so often at most, however many files move. */
const LOOK_MS = 1000;
/** So often at most is read out what changed. */
const TELL_MS = 5000;

export interface News {
  /** Grows when there is something new to be looked at. */
  turn: number;
  paused: boolean;
  /** What happened while it was paused. */
  missed: number;
  pause(on: boolean): void;
  /** Looks again now: after what this person did. */
  look(): void;
}

/** Follows the hub's folders; `heard` gets each event, also while the lists stand still. */
export function useNews(hub: string, heard: (e: LiveEvent) => void, reconnected: () => void): News {
  const [turn, setTurn] = useState(0);
  const [paused, setPaused] = useState(false);
  const [missed, setMissed] = useState(0);
  const now = useRef({ paused, heard, reconnected });
  now.current = { paused, heard, reconnected };
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const bump = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      if (!now.current.paused) setTurn((n) => n + 1);
    }, LOOK_MS);
  };
  useEffect(() => {
    const stop = follow(
      hub,
      (e) => {
        now.current.heard(e);
        if (!e.type.startsWith("drop_")) return;
        if (now.current.paused) setMissed((n) => n + 1);
        else bump();
      },
      () => {
        now.current.reconnected();
        bump();
      },
    );
    return () => {
      stop();
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, [hub]);
  return {
    turn,
    paused,
    missed,
    pause: (on) => {
      setPaused(on);
      setMissed(0);
      if (!on) setTurn((n) => n + 1);
      announce(on ? "Updates are paused." : "Updates go on.");
    },
    look: () => setTurn((n) => n + 1),
  };
}

/** Says politely what became of the rows that are shown. Another `question` shows others and says nothing. */
export function useTold(question: string, rows: { id: string; name: string; state: string }[] | undefined): void {
  const told = useRef({ question: "", states: new Map<string, string>(), at: 0 });
  const latest = useRef(rows);
  latest.current = rows;
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => {
    if (!rows) return;
    const t = told.current;
    const note = () => {
      for (const r of latest.current ?? []) t.states.set(r.id, r.state);
    };
    if (t.question !== question) {
      t.question = question;
      t.states = new Map();
      note();
      return;
    }
    clearTimeout(timer.current);
    timer.current = setTimeout(
      () => {
        const words = changeWords(t.states, latest.current ?? []);
        note();
        if (!words) return;
        t.at = Date.now();
        announce(words);
      },
      Math.max(0, t.at + TELL_MS - Date.now()),
    );
  }, [question, rows]);
}
