// 360 stills by Photo Sphere Viewer. Loaded on demand.
import { Viewer } from "@photo-sphere-viewer/core";
import "@photo-sphere-viewer/core/index.css";
import { turn, usesArrows } from "./look";
import type { Needs, Shown } from "./video";

/** Shows a spherical photo in `stage` until destroyed. */
export async function showPhoto(stage: HTMLElement, needs: Needs): Promise<Shown> {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const box = document.createElement("div");
  box.className = "photo-sphere";
  stage.append(box);
  const viewer = new Viewer({
    container: box,
    panorama: needs.playback.image ?? needs.playback.progressive,
    navbar: ["zoom", "fullscreen"],
    keyboard: false, // our own: the library's works in full screen only
    mousewheelCtrlKey: true,
    moveInertia: still ? false : 0.8,
    defaultTransition: { speed: still ? 0 : 800, rotation: false },
    loadingTxt: "",
  });
  const rad = Math.PI / 180;
  const keys = (e: KeyboardEvent) => {
    if (usesArrows(e.target) || e.ctrlKey || e.metaKey || e.altKey) return;
    const t = turn(e.key);
    const at = viewer.getPosition();
    if (t) viewer.rotate({ yaw: at.yaw + t.yaw * rad, pitch: at.pitch + t.pitch * rad });
    else if (e.key === "Home") viewer.rotate({ yaw: 0, pitch: 0 });
    else if (e.key === "+") viewer.zoom(viewer.getZoomLevel() + 8);
    else if (e.key === "-") viewer.zoom(viewer.getZoomLevel() - 8);
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  stage.addEventListener("keydown", keys, true);
  viewer.addEventListener("ready", () => needs.ready(), { once: true });
  viewer.addEventListener(
    "panorama-error",
    () =>
      needs.failed("The 360° photo cannot be shown.", "Try again; large photos need a graphics card that allows them."),
    {
      once: true,
    },
  );
  return {
    reset: () => {
      viewer.rotate({ yaw: 0, pitch: 0 });
    },
    async destroy() {
      stage.removeEventListener("keydown", keys, true);
      viewer.destroy();
      stage.replaceChildren();
    },
  };
}
