/** Types of the embeddable picker, and a loader for sites that bundle their scripts. */

export type MediaType = "video" | "image" | "audio" | "other";

export interface PickedItem {
  /** What `id` is of. */
  source: "library" | "kaltura";
  id: string;
  entry_id: string;
  hub_id: string;
  name: string;
  type: MediaType;
  is_360: boolean;
  duration_ms: number;
  thumbnail_url: string;
  playback: {
    dash?: string;
    hls?: string;
    progressive?: string;
    image?: string;
    thumbnail?: string;
    projection: string;
    captions: { url: string; language: string; label: string }[];
    expires_at: string;
  };
  /** GET it with an access token for fresh addresses. */
  renew_url: string;
}

export interface PickerTrouble {
  code: string;
  message: string;
  next_step: string;
}

export interface OpenOptions {
  token: string | ((why: { expired: boolean }) => string | Promise<string>);
  onInsert: (items: PickedItem[]) => void;
  onCancel?: () => void;
  onError?: (error: PickerTrouble) => void;
  client?: string;
  multiple?: boolean;
  types?: MediaType[];
  theme?: "light" | "dark" | "auto";
  label?: string;
}

export interface PickerModule {
  open(options: OpenOptions): { close(): void };
}

/** Loads the picker from the server, so that it is always the one that fits. */
export function loadPicker(baseUrl: string): Promise<PickerModule> {
  const url = new URL("/embed/v1.js", baseUrl).href;
  return import(/* @vite-ignore */ /* webpackIgnore: true */ url) as Promise<PickerModule>;
}
