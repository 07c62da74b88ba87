// Live events of one hub, read with fetch rather than EventSource: that one hears only event names
// it was told beforehand, and hides why a connection was refused.
import { signal } from "@preact/signals";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { ask } from "./access";

export interface LiveEvent {
  type: string;
  subject: string;
  data: Record<string, unknown>;
}

/** Whether live updates are coming in. */
export const connected = signal(false);

/** How long to wait before the nth reconnect, in ms. */
export function reconnectDelay(attempt: number): number {
  return Math.min(15_000, 500 * 2 ** Math.min(attempt, 5));
}

/**
 * Follows a hub's events until the returned function is called. After a gap the log repeats what
 * was missed, but progress is lost: `reconnected` is the moment to look at the state again.
 */
export function follow(hubId: string, heard: (e: LiveEvent) => void, reconnected: () => void): () => void {
  const stop = new AbortController();
  let last = "";
  let seen = false;

  const read = async () => {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (last) headers["Last-Event-ID"] = last;
    const r = await ask(
      new Request(`/v1/events?hub=${encodeURIComponent(hubId)}`, { headers, signal: stop.signal, cache: "no-store" }),
    );
    // A token that may not hear events will not become one that may.
    if (r.status === 403) stop.abort();
    if (!r.ok || !r.body) throw new Error(`events: ${r.status}`);
    connected.value = true;
    if (seen) reconnected();
    seen = true;
    const messages = r.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader();
    for (;;) {
      const { done, value } = await messages.read();
      if (done) return;
      if (value.id) last = value.id;
      const e = parse(value.event ?? "message", value.data);
      if (e) heard(e);
    }
  };

  (async () => {
    for (let attempt = 0; !stop.signal.aborted; attempt++) {
      try {
        await read();
        attempt = 0;
      } catch {
        // Refused or cut: wait and come again. Pages keep working without live updates.
      }
      if (stop.signal.aborted) return;
      connected.value = false;
      await new Promise((wake) => {
        const t = setTimeout(wake, reconnectDelay(attempt));
        stop.signal.addEventListener("abort", () => {
          clearTimeout(t);
          wake(undefined);
        });
      });
    }
  })();
  return () => {
    stop.abort();
    connected.value = false;
  };
}

/** Makes an event of a message; null when it is not one. */
export function parse(name: string, text: string): LiveEvent | null {
  try {
    const m = JSON.parse(text) as Partial<LiveEvent>;
    if (typeof m !== "object" || m === null || typeof m.subject !== "string") return null;
    return { type: m.type || name, subject: m.subject, data: m.data ?? {} };
  } catch {
    return null;
  }
}
