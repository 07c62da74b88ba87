// What the host's page and the picker's frame say to each other. The host sends one Hello by
// window.postMessage, addressed to our origin and with one end of a channel; all else goes through
// that channel, which nobody but the two can reach.

export type MediaType = "video" | "image" | "audio" | "other";
export type Theme = "light" | "dark" | "auto";

/** What the host wants of the picker. */
export interface Wishes {
  multiple: boolean;
  types: MediaType[]; // empty = all
  theme: Theme;
  modal: boolean; // a dialog that Escape and Cancel close
}

export interface Hello {
  isthmus: "picker/1";
  wishes: Wishes;
  token: string;
}

/** A caption track of an item. */
export interface PickedCaption {
  url: string;
  language: string;
  label: string;
}

/** Addresses to play an item, for this person and for a short time. */
export interface PickedPlayback {
  dash?: string;
  hls?: string;
  progressive?: string;
  image?: string;
  thumbnail?: string;
  projection: string; // "flat", "equirectangular", …
  captions: PickedCaption[];
  expires_at: string; // RFC 3339
}

/** One item that a person chose. */
export interface PickedItem {
  source: "library" | "kaltura"; // what `id` is of
  id: string; // of the library item or of the entry
  entry_id: string; // at Kaltura
  hub_id: string;
  name: string;
  type: MediaType;
  is_360: boolean;
  duration_ms: number; // 0 when it has no length
  thumbnail_url: string; // short-lived
  playback: PickedPlayback;
  renew_url: string; // GET it with an access token for fresh addresses
}

/** Something that went wrong, for the host's developer and for the person. */
export interface PickerTrouble {
  code: string;
  message: string;
  next_step: string;
}

export type ToFrame = { kind: "token"; token: string } | { kind: "no_token"; message: string };

export type ToHost =
  | { kind: "hello" }
  | { kind: "ready" }
  | { kind: "token_needed" }
  | { kind: "insert"; items: PickedItem[] }
  | { kind: "cancel" }
  | { kind: "error"; error: PickerTrouble };

/** The claims of a JWT, unchecked: good for looking ahead, never for trusting. */
export function claims(token: string): Record<string, unknown> {
  try {
    const body = token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
    const c = JSON.parse(new TextDecoder().decode(bytes));
    return c && typeof c === "object" ? c : {};
  } catch {
    return {};
  }
}
