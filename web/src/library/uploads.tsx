import { useComputed } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { bytes, clockTime, pace, percent } from "../format";
import { Icon } from "../ui/icons";
import { Act } from "../ui/parts";
import { Codes, WorkRow } from "../ui/row";
import { useNow } from "../ui/trouble";
import { hop } from "../upload/hop";
import { elsewhere, type Item } from "../upload/machine";
import type { Queue } from "../upload/queue";

/** How far an item is, 0..1 of its current stage. */
export function progressOf(it: Item): number {
  if (it.phase === "server") return it.upload?.progress ?? 0;
  if (it.phase === "finishing") return it.size > 0 ? it.hashed / it.size : 1;
  return it.size > 0 ? it.sent / it.size : 0;
}

/** The state in words. */
export function stateOf(it: Item, now: number, rate?: { perSecond(): number }): string {
  switch (it.phase) {
    case "queued":
      return it.sent > 0 ? `Waiting for its turn at ${percent(progressOf(it))}` : "Waiting for its turn";
    case "preparing":
      return "Getting ready";
    case "sending":
      return [
        `${percent(progressOf(it))} of ${bytes(it.size)}`,
        ...pace(rate?.perSecond() ?? 0, it.size - it.sent),
      ].join(" · ");
    case "paused":
      return `Paused at ${percent(progressOf(it))}. It keeps its place${until(it)}.`;
    case "retrying": {
      const s = Math.max(0, Math.ceil((it.retryAt - now) / 1000));
      return `${it.failure?.message ?? "Connection lost."} ${it.retryAt ? `Trying again in ${s} s.` : "Goes on as soon as you are online again."}`;
    }
    case "finishing":
      return it.digest ? "Finishing" : `All sent. Checking the file, ${percent(progressOf(it))}`;
    case "needs_file":
      if (elsewhere(it, now)) return `Being sent from elsewhere: ${percent(progressOf(it))} of ${bytes(it.size)}`;
      return it.sent >= it.size
        ? "All bytes have arrived, but the upload was never finished."
        : `Stopped at ${percent(progressOf(it))} of ${bytes(it.size)}. Choose the same file again to go on${until(it)}.`;
    case "server":
      if (it.upload?.waiting)
        return `Uploaded. ${it.upload.error?.message ?? "Waiting for Kaltura."} ${waits(it, now)}`;
      if (it.upload?.state === "ingesting") return `Uploaded. Handing over to Kaltura, ${percent(progressOf(it))}`;
      return it.upload && it.upload.progress > 0
        ? `Being made playable, ${percent(it.upload.progress)}`
        : "Being made playable";
    case "ready":
      return it.upload?.suggest_360 && !it.upload.is_360
        ? "Ready. Its shape suggests 360°: show it to mark it."
        : "Ready";
    case "failed":
      return [it.failure?.message, it.failure?.nextStep].filter(Boolean).join(" ") || "Failed.";
    case "cancelled":
      return "Cancelled";
  }
}

function waits(it: Item, now: number): string {
  const w = it.upload?.waiting;
  return w ? `It waits since ${clockTime(w.since, new Date(now))} and goes on by itself.` : "";
}

function until(it: Item): string {
  const t = it.upload?.expires_at;
  return t ? ` until ${new Date(t).toLocaleDateString("en-GB", { day: "numeric", month: "long" })}` : "";
}

/** The time, going on while an upload counts down to its next try or comes from elsewhere. */
export function useCountdown(queue: Queue): number {
  const ticking = useComputed(() =>
    queue.items.value.some(
      (i) => (i.phase === "retrying" && i.retryAt > 0) || (i.phase === "needs_file" && i.movedAt > 0),
    ),
  );
  return useNow(ticking.value);
}

/** All uploads of this page and the unfinished ones from before. */
export function Uploads({ queue, open }: { queue: Queue; open: (entryId: string) => void }) {
  const items = queue.items.value;
  const now = useCountdown(queue);
  if (items.length === 0) return null;
  const under = items.filter((i) => !["ready", "failed", "cancelled"].includes(i.phase)).length;
  const over = items.filter((i) => i.phase === "ready");
  return (
    <section class="card uploads" aria-labelledby="uploads-title">
      <header class="spread">
        <h2 id="uploads-title">Uploads {under > 0 && <span class="badge accent">{under} under way</span>}</h2>
        {over.length > 0 && (
          <button type="button" class="btn small" onClick={() => over.map((i) => queue.dismiss(i.key))}>
            Clear finished
          </button>
        )}
      </header>
      <ul>
        {items.map((it) => (
          <UploadRow key={it.key} it={it} queue={queue} now={now} open={open} />
        ))}
      </ul>
    </section>
  );
}

/** One upload. `detail` adds what the Transfers page has room for. */
export function UploadRow({
  it,
  queue,
  now,
  open,
  detail,
}: {
  it: Item;
  queue: Queue;
  now: number;
  open: (entryId: string) => void;
  detail?: boolean;
}) {
  const choose = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState("");
  const label = (verb: string) => `${verb} ${it.name}`;
  const first = queue.first.value === it.key && ["queued", "preparing", "sending"].includes(it.phase);
  const canPause = ["queued", "preparing", "sending", "retrying"].includes(it.phase);
  const showBar = !["ready", "failed", "cancelled", "queued"].includes(it.phase);
  return (
    <WorkRow
      data={{ "data-upload": it.id || it.key, "data-phase": it.phase }}
      name={it.name}
      badges={
        <>
          {it.upload?.is_360 && <span class="badge warn">360°</span>}
          {detail && it.phase === "sending" && <span class="badge">{hop.value}</span>}
          {detail && first && <span class="badge accent">First</span>}
        </>
      }
      state={stateOf(it, now, queue.rate(it.key))}
      bad={it.phase === "failed"}
      more={
        <>
          {detail && it.failure && it.phase === "failed" && (
            <Codes code={it.failure.code} traceId={it.failure.traceId} />
          )}
          {wrong && (
            <p class="state bad" role="alert">
              {wrong}
            </p>
          )}
        </>
      }
      far={showBar ? progressOf(it) : undefined}
      farLabel={label("Progress of")}
      acts={
        <>
          {detail && !first && ["queued", "sending", "paused", "retrying"].includes(it.phase) && (
            <button
              type="button"
              class="btn small"
              aria-label={label("Send first:")}
              onClick={() => queue.sendFirst(it.key)}
            >
              <Icon name="first" size={16} /> Send first
            </button>
          )}
          {canPause && (
            <button type="button" class="btn small" aria-label={label("Pause")} onClick={() => queue.pause(it.key)}>
              <Icon name="pause" size={16} /> Pause
            </button>
          )}
          {it.phase === "paused" && (
            <button type="button" class="btn small" aria-label={label("Resume")} onClick={() => queue.resume(it.key)}>
              <Icon name="play" size={14} /> Resume
            </button>
          )}
          {(it.phase === "retrying" || (it.phase === "failed" && (it.hasFile || it.upload?.state === "failed"))) && (
            <Act small icon="retry" aria-label={label("Retry")} do={() => queue.retry(it.key)}>
              {it.phase === "retrying" ? "Now" : "Retry"}
            </Act>
          )}
          {it.phase === "needs_file" && (
            <>
              <button
                type="button"
                class="btn small primary"
                aria-label={label("Choose the file again:")}
                onClick={() => choose.current?.click()}
              >
                <Icon name="file" size={16} /> Choose file
              </button>
              <input
                ref={choose}
                type="file"
                hidden
                aria-label={label("File for")}
                onChange={async (e) => {
                  const file = e.currentTarget.files?.[0];
                  e.currentTarget.value = "";
                  if (!file) return;
                  setWrong("");
                  try {
                    await queue.attach(it.key, file);
                  } catch (x) {
                    setWrong(x instanceof Error ? `${x.message} ${(x as { nextStep?: string }).nextStep ?? ""}` : "");
                  }
                }}
              />
              {it.sent >= it.size && (
                <Act small do={() => queue.finishUnchecked(it.key)} aria-label={label("Finish")}>
                  Finish
                </Act>
              )}
            </>
          )}
          {detail && (it.phase === "paused" || it.phase === "needs_file") && it.id && (
            <Act
              small
              aria-label={label("Keep for longer:")}
              do={async () => {
                await queue.keep(it.key);
                say(`${it.name} is kept for the full time from now.`);
              }}
            >
              Keep longer
            </Act>
          )}
          {(it.phase === "ready" || it.phase === "server") && it.upload?.entry_id && (
            <button
              type="button"
              class="btn small"
              aria-label={label("Show")}
              onClick={() => open(it.upload!.entry_id!)}
            >
              Show
            </button>
          )}
          {it.phase !== "ready" && !(it.phase === "server" && it.upload?.entry_id) && (
            <Act
              small
              kind="danger"
              aria-label={label(it.phase === "failed" ? "Remove" : "Cancel")}
              do={() => queue.cancel(it.key)}
              failed={(p) => say(`${p.message} ${p.nextStep}`)}
            >
              {it.phase === "failed" ? "Remove" : "Cancel"}
            </Act>
          )}
        </>
      }
    />
  );
}

/** The same upload as a card of the grid, until its entry is listed there. */
export function UploadCard({ it }: { it: Item }) {
  return (
    <div class="media" data-upload-card={it.id || it.key}>
      <span class="thumb">
        <Icon name={it.phase === "failed" ? "error" : "upload"} size={40} />
        {it.upload?.is_360 && (
          <span class="over sphere">
            <Icon name="sphere" size={14} /> 360°
          </span>
        )}
      </span>
      <span class="text">
        <span class="name">
          <bdi>{it.upload?.title || it.name}</bdi>
        </span>
        <span class="meta tabular">
          {it.phase === "failed" ? (
            <span class="badge bad">Failed</span>
          ) : (
            <span class="badge accent">{shortState(it)}</span>
          )}
        </span>
        {it.phase !== "failed" && (
          <progress class="bar" max={1} value={progressOf(it)} aria-label={`Progress of ${it.name}`} />
        )}
      </span>
    </div>
  );
}

function shortState(it: Item): string {
  switch (it.phase) {
    case "sending":
      return `Uploading ${percent(progressOf(it))}`;
    case "paused":
      return "Paused";
    case "needs_file":
      return "Needs its file";
    case "retrying":
      return "Trying again";
    case "server":
      return "Processing";
    case "finishing":
      return "Checking";
    default:
      return "Waiting";
  }
}
