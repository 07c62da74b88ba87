import { useEffect, useRef, useState } from "preact/hooks";
import type { Playback } from "../api";
import { clock } from "../format";
import { Icon } from "../ui/icons";
import { fold, loadPeaks } from "./peaks";

/** Plays sound with its waveform; the slider is for the keyboard, the picture for the pointer. */
export default function AudioPlayer({
  playback,
  failed,
}: {
  playback: Playback;
  failed: (m: string, n: string) => void;
}) {
  const audio = useRef<HTMLAudioElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [peaks, setPeaks] = useState<number[]>([]);
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [length, setLength] = useState(playback.duration_ms / 1000);

  useEffect(() => {
    let gone = false;
    let attached: { destroy(): Promise<void> } | undefined;
    const el = audio.current!;
    if (playback.progressive) el.src = playback.progressive;
    else if (playback.dash || playback.hls) {
      import("./video")
        .then((v) => v.attachAudio(el, playback))
        .then((a) => {
          if (gone) void a.destroy();
          else attached = a;
        })
        .catch(() => failed("The sound cannot be loaded.", "Try again in a moment."));
    }
    loadPeaks(playback.waveform, playback.progressive).then(
      (p) => !gone && setPeaks(p),
      () => {}, // without a picture the sound still plays
    );
    return () => {
      gone = true;
      el.pause();
      void attached?.destroy();
    };
  }, [playback]);

  useEffect(() => {
    const c = canvas.current!;
    const draw = () => {
      const scale = devicePixelRatio || 1;
      c.width = c.clientWidth * scale;
      c.height = c.clientHeight * scale;
      const g = c.getContext("2d")!;
      g.clearRect(0, 0, c.width, c.height);
      const bars = fold(peaks.length ? peaks : [0.02], Math.max(20, Math.floor(c.clientWidth / 4)));
      const step = c.width / bars.length;
      for (const [i, p] of bars.entries()) {
        const h = Math.max(2 * scale, p * (c.height - 4));
        g.fillStyle = (i + 0.5) / bars.length <= (length > 0 ? at / length : 0) ? "#e5ab5d" : "#6d858c";
        g.fillRect(i * step, (c.height - h) / 2, Math.max(1, step * 0.62), h);
      }
    };
    draw();
    const watch = new ResizeObserver(draw);
    watch.observe(c);
    return () => watch.disconnect();
  }, [peaks, at, length]);

  const seek = (s: number) => {
    audio.current!.currentTime = s;
    setAt(s);
  };
  return (
    <div class="audio">
      <canvas
        ref={canvas}
        onClick={(e) => {
          const box = e.currentTarget.getBoundingClientRect();
          seek(((e.clientX - box.left) / box.width) * length);
        }}
      />
      <audio
        ref={audio}
        crossOrigin="anonymous"
        preload="metadata"
        onTimeUpdate={(e) => setAt(e.currentTarget.currentTime)}
        onDurationChange={(e) => Number.isFinite(e.currentTarget.duration) && setLength(e.currentTarget.duration)}
        onPlay={() => setPlaying(true)}
        onPause={() => setPlaying(false)}
        onError={() => failed("The sound does not play.", "Try again in a moment.")}
      />
      <div class="controls">
        <button
          type="button"
          class="btn"
          onClick={() => (playing ? audio.current!.pause() : void audio.current!.play())}
        >
          <Icon name={playing ? "pause" : "play"} /> {playing ? "Pause" : "Play"}
        </button>
        <input
          type="range"
          min="0"
          max={length || 1}
          step="0.1"
          value={at}
          aria-label="Position"
          aria-valuetext={`${clock(at * 1000) || "0:00"} of ${clock(length * 1000)}`}
          onInput={(e) => seek(Number(e.currentTarget.value))}
        />
        <span class="tabular nowrap">
          {clock(at * 1000) || "0:00"} / {clock(length * 1000)}
        </span>
      </div>
    </div>
  );
}
