import { useEffect, useRef, useState } from "preact/hooks";
import type { Transfer } from "../api";
import { bytes, count, pace, percent } from "../format";
import { UploadRow, useCountdown } from "../library/uploads";
import { navigate } from "../router";
import { Icon } from "../ui/icons";
import { Act } from "../ui/parts";
import type { Item } from "../upload/machine";
import type { Queue } from "../upload/queue";
import { RateGraph, type Sample, SPAN } from "./graph";

/** Bytes a second of everything that this page sends now. */
export function rateOf(queue: Queue): number {
  return queue.items
    .peek()
    .filter((i) => i.phase === "sending")
    .reduce((n, i) => n + (queue.rate(i.key)?.perSecond() ?? 0), 0);
}

/** One sample a second while something is sent, here or by this person elsewhere. */
function useSamples(queue: Queue, mine: Transfer[]): Sample[] {
  const [samples, setSamples] = useState<Sample[]>([]);
  const busy = queue.total.value.left > 0;
  const quic = mine.filter((t) => t.live.path === "quic");
  const far = quic.length > 0;
  // Told about once a second, too: beside the clock, so that it does not start anew each time.
  const told = useRef({ elsewhere: 0, rttMs: undefined as number | undefined, loss: undefined as number | undefined });
  told.current = {
    elsewhere: quic.reduce((n, t) => n + t.live.rate_bps / 8, 0),
    rttMs: quic.find((t) => t.live.rtt_ms)?.live.rtt_ms,
    loss: quic.find((t) => t.live.loss !== undefined)?.live.loss,
  };
  useEffect(() => {
    if (!busy && !far) return;
    const t = setInterval(() => {
      const at = Date.now();
      const { elsewhere, ...path } = told.current;
      setSamples((old) => [
        ...old.filter((s) => at - s.at < SPAN * 1000),
        { at, rate: rateOf(queue) + elsewhere, ...path },
      ]);
    }, 1000);
    return () => clearInterval(t);
  }, [busy, far, queue]);
  return samples;
}

/** Everything that this browser sends, and what has just arrived from anywhere. */
export function Files({ queue, mine, cap }: { queue: Queue; mine: Transfer[]; cap: number }) {
  const items = queue.items.value.filter((i) => i.phase !== "needs_file");
  const samples = useSamples(queue, mine);
  const now = useCountdown(queue);
  const open = (id: string) => navigate(`/hubs/${queue.hub}/library?tab=kaltura&media=${encodeURIComponent(id)}`);
  if (items.length === 0 && samples.length === 0) return null;
  const is = (...phases: Item["phase"][]) => items.filter((i) => phases.includes(i.phase));
  const running = is("queued", "preparing", "sending", "retrying");
  const paused = is("paused");
  const failed = is("failed").filter((i) => i.hasFile || i.upload?.state === "failed");
  const ready = is("ready");
  const all = queue.total.value;
  return (
    <section class="card uploads" aria-labelledby="files-title">
      <header class="spread">
        <h2 id="files-title">Files on their way</h2>
        <div class="row">
          {running.length > 0 && (
            <button type="button" class="btn small" onClick={() => queue.pauseAll()}>
              <Icon name="pause" size={16} /> Pause all
            </button>
          )}
          {paused.length > 0 && (
            <button type="button" class="btn small" onClick={() => queue.resumeAll()}>
              <Icon name="play" size={14} /> Resume all
            </button>
          )}
          {failed.length > 1 && (
            <Act small icon="retry" do={() => Promise.all(failed.map((i) => queue.retry(i.key)))}>
              Retry the {failed.length} failed
            </Act>
          )}
          {ready.length > 0 && (
            <button type="button" class="btn small" onClick={() => ready.map((i) => queue.dismiss(i.key))}>
              Clear finished
            </button>
          )}
        </div>
      </header>
      {all.files > 0 && all.left > 0 && <Totals queue={queue} />}
      {samples.length > 1 && (
        <div class="rate-box">
          <RateGraph samples={samples} cap={cap} running={all.left > 0 || mine.some((t) => t.live.path === "quic")} />
        </div>
      )}
      <ul>
        {items.map((it) => (
          <UploadRow key={it.key} it={it} queue={queue} now={now} open={open} detail />
        ))}
      </ul>
    </section>
  );
}

function Totals({ queue }: { queue: Queue }) {
  const all = queue.total.value;
  const rate = rateOf(queue);
  const parts = [
    `${count(all.files, "file")}, ${all.left} to go`,
    `${percent(all.sent / all.size)} · ${bytes(all.sent)} of ${bytes(all.size)}`,
  ];
  parts.push(...pace(rate, all.size - all.sent));
  if (all.failed > 0) parts.push(`${all.failed} failed`);
  return (
    <div class="totals" data-testid="totals">
      <p class="tabular">
        <strong>Together:</strong> {parts.join(" · ")}
      </p>
      <progress class="bar" max={1} value={all.size > 0 ? all.sent / all.size : 0} aria-label="Progress of all files" />
    </div>
  );
}

/** What was begun before, here or on another device, and has lost its file. */
export function Unfinished({ queue, choose }: { queue: Queue; choose: () => void }) {
  const now = useCountdown(queue);
  const items = queue.items.value.filter((i) => i.phase === "needs_file");
  if (items.length === 0) return null;
  return (
    <section class="card uploads" aria-labelledby="unfinished-title">
      <header class="spread">
        <h2 id="unfinished-title">
          Unfinished uploads <span class="badge warn">{items.length}</span>
        </h2>
        {items.length > 1 && (
          <button type="button" class="btn small" onClick={choose}>
            <Icon name="file" size={16} /> Choose their files
          </button>
        )}
      </header>
      <p class="muted small note">
        Begun before a reload or on another device. Their bytes are kept; each goes on as soon as it has the same file
        again.
      </p>
      <ul>
        {items.map((it) => (
          <UploadRow key={it.key} it={it} queue={queue} now={now} open={() => {}} detail />
        ))}
      </ul>
    </section>
  );
}
