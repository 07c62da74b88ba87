// Flat and 360 video by shaka-player. Loaded on demand: it is larger than all the rest together.
import shaka from "shaka-player/dist/shaka-player.ui-es2021.js";
import "shaka-player/dist/controls.css";
import type { Playback } from "../api";
import { turn, usesArrows } from "./look";

export interface Shown {
  /** Turns the view back to where it was at the beginning; only for spheres. */
  reset?: () => void;
  destroy(): Promise<void>;
}

export interface Needs {
  playback: Playback;
  /** Asks for new addresses when the old ones have run out. */
  renew(): Promise<Playback>;
  ready(): void;
  failed(message: string, nextStep: string): void;
}

const projections: Record<string, string> = {
  equirectangular: "equirectangular",
  half_equirectangular: "halfequirectangular",
  cubemap: "cubemap",
};

let prepared = false;

function sources(p: Playback): string[] {
  return [p.dash, p.hls, p.progressive].filter((s): s is string => !!s);
}

/** The words for an error of the player. */
function explain(e: unknown): [string, string] {
  const code = (e as { code?: number }).code ?? 0;
  const C = shaka.util.Error.Code;
  if (code === C.BAD_HTTP_STATUS) {
    const status = (e as { data?: unknown[] }).data?.[1];
    if (status === 401 || status === 403)
      return ["The permission to play this has run out.", "Try again to get a new one."];
    return ["The media server refused this video.", "Try again in a moment; it may still be processed."];
  }
  if (code === C.HTTP_ERROR || code === C.TIMEOUT)
    return ["The video cannot be reached.", "Check your connection and try again."];
  if (code === C.CONTENT_UNSUPPORTED_BY_BROWSER || code === C.UNABLE_TO_GUESS_MANIFEST_TYPE) {
    return [
      "This browser cannot play the format of this video.",
      "Try another browser, or import a copy: copies are made playable everywhere.",
    ];
  }
  return ["The video does not play.", `Try again; if it happens again, report the player's code ${code || "unknown"}.`];
}

/** Plays into `stage` until destroyed. */
export async function showVideo(stage: HTMLElement, needs: Needs): Promise<Shown> {
  if (!prepared) {
    shaka.polyfill.installAll();
    prepared = true;
  }
  const sphere = projections[needs.playback.projection] ?? (needs.playback.is_360 ? "equirectangular" : undefined);
  const video = document.createElement("video");
  video.playsInline = true;
  // A sphere is drawn from the picture, which the browser allows only for media asked for openly.
  video.crossOrigin = "anonymous";
  if (needs.playback.thumbnail && !sphere) video.poster = needs.playback.thumbnail;
  stage.append(video);

  const player = new shaka.Player();
  await player.attach(video);
  player.configure({
    streaming: { retryParameters: { maxAttempts: 4 } },
    manifest: { retryParameters: { maxAttempts: 3 } },
  });
  const ui = new shaka.ui.Overlay(player, stage, video);
  ui.configure({
    controlPanelElements: [
      "play_pause",
      "time_and_duration",
      "spacer",
      "mute",
      "volume",
      "overflow_menu",
      "fullscreen",
    ],
    overflowMenuButtons: [
      "captions",
      "quality",
      "language",
      "playback_rate",
      sphere ? "recenter_vr" : "picture_in_picture",
    ],
    topControlPanelElements: [],
    bigButtons: sphere ? [] : ["play_pause"],
    displayInVrMode: !!sphere,
    defaultVrProjectionMode: sphere ?? "equirectangular",
    // The wheel scrolls the page; pinching and the keys + and - zoom.
    enableVrWheelZoom: false,
    enableKeyboardPlaybackControls: true,
    singleClickForPlayAndPause: !sphere,
  });
  const controls = ui.getControls()!;
  // Always there, for advertisements, which we have none of: a button without a name.
  stage.querySelector(".shaka-ad-info")?.remove();

  // The player's own method is not exported; its menu entry is.
  const recentre = () => stage.querySelector<HTMLElement>(".shaka-recenter-vr-button")?.click();
  const keys = (e: KeyboardEvent) => {
    if (!controls.isPlayingVR() || usesArrows(e.target) || e.ctrlKey || e.metaKey || e.altKey) return;
    const t = turn(e.key);
    if (t?.yaw) controls.incrementYaw(t.yaw);
    else if (t) controls.incrementPitch(t.pitch);
    else if (e.key === "Home") recentre();
    else if (e.key === "+" || e.key === "-") {
      const now = controls.getVRFieldOfView() ?? 75;
      controls.setVRFieldOfView(Math.min(100, Math.max(30, now + (e.key === "+" ? -5 : 5))));
    } else return;
    // Otherwise the player would seek as well.
    e.preventDefault();
    e.stopPropagation();
  };
  if (sphere) stage.addEventListener("keydown", keys, true);

  let renewed = false;
  let gone = false;
  let current = needs.playback;
  const load = async (from?: number): Promise<void> => {
    let last: unknown = new Error("nothing to play");
    for (const src of sources(current)) {
      try {
        await player.load(src, from);
        return;
      } catch (e) {
        if (gone) return;
        last = e;
      }
    }
    throw last;
  };
  const expired = (e: unknown) => {
    const { code, data } = e as { code?: number; data?: unknown[] };
    return code === shaka.util.Error.Code.BAD_HTTP_STATUS && (data?.[1] === 401 || data?.[1] === 403);
  };
  const trouble = async (e: unknown): Promise<void> => {
    if (gone) return;
    if (expired(e) && !renewed) {
      renewed = true;
      try {
        const at = video.currentTime;
        const playing = !video.paused;
        current = await needs.renew();
        await load(at);
        renewed = false;
        if (playing) await video.play();
        return;
      } catch (again) {
        e = again;
      }
    }
    if (!gone) needs.failed(...explain(e));
  };
  player.addEventListener("error", (e) => {
    const detail = (e as unknown as { detail: { severity?: number } }).detail;
    if (detail.severity === shaka.util.Error.Severity.CRITICAL) void trouble(detail);
  });
  const shown: Shown = {
    reset: sphere ? recentre : undefined,
    async destroy() {
      gone = true;
      stage.removeEventListener("keydown", keys, true);
      await ui.destroy();
      stage.replaceChildren();
    },
  };
  void (async () => {
    try {
      await load();
      if (gone) return;
      for (const c of needs.playback.captions) {
        // A missing track must not stop the video.
        const track = await player
          .addTextTrackAsync(c.url, c.language, "subtitles", "text/vtt", undefined, c.label)
          .catch(() => undefined);
        if (gone) return;
        if (track && c.default) player.selectTextTrack(track);
      }
      needs.ready();
    } catch (e) {
      await trouble(e);
    }
  })();
  return shown;
}

/** Plays sound through the same player, without its controls. */
export async function attachAudio(audio: HTMLMediaElement, playback: Playback): Promise<{ destroy(): Promise<void> }> {
  const player = new shaka.Player();
  await player.attach(audio);
  await player.load((playback.dash ?? playback.hls)!);
  return { destroy: () => player.destroy() };
}
