import { signal } from "@preact/signals";

/** What screen readers are told next. */
export const announcement = signal("");
/** What everybody sees for a moment. */
export const toast = signal<{ text: string; id: number } | null>(null);

let flip = false;
/** Tells screen readers something without moving anything. */
export function announce(text: string): void {
  // The same text twice would not be read twice; an invisible difference makes it a new one.
  flip = !flip;
  announcement.value = flip ? `${text}\u00a0` : text;
}

/** Shows and reads a short message that needs no answer. */
export function say(text: string): void {
  const id = Date.now() + Math.random();
  toast.value = { text, id };
  announce(text);
  setTimeout(() => {
    if (toast.value?.id === id) toast.value = null;
  }, 5000);
}
