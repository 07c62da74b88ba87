// Makes of what a person chose what the host is given.
import { api, call, type Playback } from "../api";
import type { Choice } from "../library/pick";
import type { PickedItem } from "./protocol";

/** How many addresses are asked for at the same time. */
const PARALLEL = 4;

const absolute = (url: string | undefined) => (url ? new URL(url, location.origin).href : undefined);

function renewPath(hub: string, c: Choice): string {
  const noun = c.source === "library" ? "library" : "media";
  return `/v1/hubs/${encodeURIComponent(hub)}/${noun}/${encodeURIComponent(c.id)}/playback`;
}

/** What the host gets for one choice; addresses are whole, because the host is elsewhere. */
export function pickedItem(hub: string, c: Choice, p: Playback): PickedItem {
  return {
    source: c.source,
    id: c.id,
    entry_id: c.entryId,
    hub_id: hub,
    name: c.name,
    type: c.type,
    is_360: c.is360,
    duration_ms: c.durationMs,
    thumbnail_url: absolute(p.thumbnail ?? c.thumbnail)!,
    playback: {
      dash: absolute(p.dash),
      hls: absolute(p.hls),
      progressive: absolute(p.progressive),
      image: absolute(p.image),
      thumbnail: absolute(p.thumbnail),
      projection: p.projection,
      captions: (p.captions ?? []).map((t) => ({ url: absolute(t.url)!, language: t.language, label: t.label })),
      expires_at: p.expires_at,
    },
    renew_url: new URL(renewPath(hub, c), location.origin).href,
  };
}

/** Asks for the addresses of all choices, in their order. Throws the first Problem. */
export async function pickedItems(hub: string, choices: Choice[]): Promise<PickedItem[]> {
  const out: PickedItem[] = new Array(choices.length);
  let next = 0;
  const work = async () => {
    for (let i = next++; i < choices.length; i = next++) {
      const c = choices[i]!;
      const params = { path: { hub, id: c.id } };
      const playback =
        c.source === "library"
          ? await call(api.GET("/v1/hubs/{hub}/library/{id}/playback", { params }))
          : await call(api.GET("/v1/hubs/{hub}/media/{id}/playback", { params }));
      out[i] = pickedItem(hub, c, playback);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, choices.length) }, work));
  return out;
}
