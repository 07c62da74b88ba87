import { useEffect, useRef, useState } from "preact/hooks";
import { asProblem, type Problem } from "../api";
import { append, merge } from "./rows";

interface Page<T> {
  items: T[];
  next?: string;
}

/** A question, how often it was asked, and which time's first page is shown. */
const begin = (question: string) => ({ question, stop: new AbortController(), asked: 0, shown: 0 });

/**
 * A list that grows by "load more". Another `question` starts again, and answers to an older one are
 * dropped; `refresh` looks at the first page again without losing the place.
 */
export function usePages<T extends { id: string }, P extends Page<T>>(
  question: string,
  fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<P>,
) {
  const [items, setItems] = useState<T[] | null>(null);
  const [first, setFirst] = useState<P>();
  const [next, setNext] = useState<string>();
  const [problem, setProblem] = useState<Problem>();
  const [loading, setLoading] = useState(false);
  const current = useRef(begin(question));

  const run = async (mode: "new" | "more" | "refresh", cursor?: string) => {
    const turn = current.current;
    const asked = ++turn.asked;
    if (mode !== "refresh") setLoading(true);
    try {
      const page = await fetchPage(cursor, turn.stop.signal);
      if (turn !== current.current) return;
      if (mode !== "refresh") setNext(page.next);
      if (mode !== "more") {
        if (asked < turn.shown) return; // overtaken by a later look at the same page
        turn.shown = asked;
        setFirst(page);
      }
      setProblem(undefined);
      setItems((shown) =>
        mode === "new" || !shown ? page.items : mode === "more" ? append(shown, page.items) : merge(shown, page.items),
      );
    } catch (e) {
      if (turn !== current.current || (e instanceof DOMException && e.name === "AbortError")) return;
      // A refresh in the background that fails leaves what is shown.
      if (mode !== "refresh") setProblem(asProblem(e));
    } finally {
      if (turn === current.current) setLoading(false);
    }
  };

  useEffect(() => {
    current.current.stop.abort();
    current.current = begin(question);
    setItems(null);
    setFirst(undefined);
    setNext(undefined);
    setProblem(undefined);
    void run("new");
    return () => current.current.stop.abort();
  }, [question]);

  return {
    items,
    first,
    hasMore: !!next,
    problem,
    loading,
    more: () => run("more", next),
    again: () => run("new"),
    refresh: () => run("refresh"),
    remove: (id: string) => setItems((shown) => shown?.filter((i) => i.id !== id) ?? null),
    put: (it: T) => setItems((shown) => shown?.map((i) => (i.id === it.id ? it : i)) ?? null),
  };
}
