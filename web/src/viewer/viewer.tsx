import "../styles/viewer.css";
import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { asProblem, type Playback } from "../api";
import { Icon } from "../ui/icons";
import { Act } from "../ui/parts";
import type { Needs, Shown } from "./video";

interface Trouble {
  message: string;
  nextStep: string;
}

/** Shows one item: asks for short-lived addresses, then loads the player that fits. */
export function Viewer({ name, ask }: { name: string; ask: () => Promise<Playback> }) {
  const [playback, setPlayback] = useState<Playback>();
  const [trouble, setTrouble] = useState<Trouble>();
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let stale = false;
    setTrouble(undefined);
    setPlayback(undefined);
    ask().then(
      (p) => !stale && setPlayback(p),
      (e) => {
        const p = asProblem(e);
        if (!stale) setTrouble({ message: p.message, nextStep: p.nextStep });
      },
    );
    return () => {
      stale = true;
    };
  }, [turn]);
  const failed = (message: string, nextStep: string) => setTrouble({ message, nextStep });

  if (trouble) {
    return (
      <div class="viewer">
        <div class="note" role="alert">
          <Icon name="error" size={32} />
          <strong>{trouble.message}</strong>
          <p>{trouble.nextStep}</p>
          <button type="button" class="btn" onClick={() => setTurn((t) => t + 1)}>
            <Icon name="retry" /> Try again
          </button>
        </div>
      </div>
    );
  }
  if (!playback) {
    return (
      <div class="viewer">
        <div class="stage">
          <div class="wait" role="status">
            <span class="spin" />
            <span class="visually-hidden">Loading {name}</span>
          </div>
        </div>
      </div>
    );
  }
  return <Fitting key={turn} name={name} playback={playback} ask={ask} failed={failed} />;
}

interface FittingProps {
  name: string;
  playback: Playback;
  ask: () => Promise<Playback>;
  failed: (message: string, nextStep: string) => void;
}

function Fitting(p: FittingProps) {
  const { type, is_360, image } = p.playback;
  if (type === "audio") return <Sound {...p} />;
  if (type === "image" && is_360)
    return <Stage {...p} show={(s, n) => import("./photo").then((m) => m.showPhoto(s, n))} />;
  if (type === "image") {
    return (
      <div class="viewer">
        <img
          class="picture"
          src={image ?? p.playback.progressive ?? p.playback.thumbnail}
          alt={p.name}
          onError={() => p.failed("The picture cannot be loaded.", "Try again in a moment.")}
        />
      </div>
    );
  }
  if (p.playback.dash || p.playback.hls || p.playback.progressive) {
    return <Stage {...p} show={(s, n) => import("./video").then((m) => m.showVideo(s, n))} />;
  }
  return (
    <div class="viewer">
      <div class="note">
        <Icon name="other" size={32} />
        <strong>There is nothing to play here.</strong>
        <p>This kind of file has no preview. You can still import it.</p>
      </div>
    </div>
  );
}

function Sound({ playback, failed }: FittingProps) {
  const [view, setView] = useState<ComponentType<{ playback: Playback; failed: FittingProps["failed"] }>>();
  useEffect(() => {
    import("./audio").then(
      (m) => setView(() => m.default),
      () => failed("The player could not be loaded.", "Reload the page."),
    );
  }, []);
  const View = view;
  return <div class="viewer">{View && <View playback={playback} failed={failed} />}</div>;
}

function Stage(p: FittingProps & { show: (stage: HTMLElement, needs: Needs) => Promise<Shown> }) {
  const stage = useRef<HTMLDivElement>(null);
  const shown = useRef<Shown | undefined>(undefined);
  const [ready, setReady] = useState(false);
  const sphere = p.playback.is_360;
  useEffect(() => {
    let gone = false;
    p.show(stage.current!, {
      playback: p.playback,
      renew: p.ask,
      ready: () => !gone && setReady(true),
      failed: (m, n) => !gone && p.failed(m, n),
    }).then(
      (s) => {
        if (gone) void s.destroy();
        else shown.current = s;
      },
      () =>
        !gone &&
        p.failed("The player could not be started.", "Reload the page; if it happens again, try another browser."),
    );
    return () => {
      gone = true;
      void shown.current?.destroy();
    };
  }, []);
  const kind = p.playback.type === "image" ? "photo" : "video";
  return (
    <div>
      <div class="viewer">
        {!ready && (
          <div class="wait">
            <span class="spin" />
          </div>
        )}
        <div
          ref={stage}
          class={`stage ${sphere ? "spherical" : ""}`}
          data-ready={ready}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: the keys that turn the sphere need a place to arrive at
          tabIndex={0}
          role="group"
          aria-label={
            sphere
              ? `360° ${kind} ${p.name}. Arrow keys look around, Home looks ahead, plus and minus zoom.`
              : `Player of ${p.name}`
          }
        />
      </div>
      {sphere && (
        <div class="viewer-tools">
          <Act small icon="reset" do={async () => shown.current?.reset?.()}>
            Reset view
          </Act>
          <span>Drag to look around, or use the arrow keys.</span>
        </div>
      )}
    </div>
  );
}
