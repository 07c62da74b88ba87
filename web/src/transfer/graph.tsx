import { bytes } from "../format";
import { bits } from "./words";

/** What was measured in one second. */
export interface Sample {
  at: number; // ms
  rate: number; // bytes a second
  rttMs?: number;
  loss?: number; // 0..1
}

/** Seconds that the graph shows: at least, so that a young line is not drawn as a wall, and at most. */
const LEAST = 30;
export const SPAN = 120;

const W = 600;
const H = 120;

/** A round number at or above v, for the top of the scale. */
export function ceiling(v: number): number {
  if (!(v > 0)) return 1;
  const p = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 5, 10].map((k) => k * p).find((k) => k >= v * 0.999)!;
}

/** Points of a line from the oldest at the left to now at the right. */
export function points(samples: Sample[], now: number, top: number, span: number): string {
  return samples
    .map(
      (s) =>
        `${(W - ((now - s.at) / 1000 / span) * W).toFixed(1)},${(H - (Math.min(s.rate, top) / top) * H).toFixed(1)}`,
    )
    .join(" ");
}

const time = (at: number) => new Date(at).toLocaleTimeString("en-GB");

/**
 * The rate of the last two minutes as a line, in words and as a table. `cap` in bit/s, 0 for none;
 * `running`: the last sample is of now.
 */
export function RateGraph({ samples, cap, running }: { samples: Sample[]; cap: number; running: boolean }) {
  const last = samples.at(-1);
  if (!last) return null;
  const most = Math.max(...samples.map((s) => s.rate));
  const capRate = cap / 8;
  // A cap far above what the line gives would press the line to the ground.
  const shown = cap > 0 && capRate < most * 4;
  const top = ceiling(Math.max(most, shown ? capRate : 0));
  const span = Math.min(SPAN, Math.max(LEAST, (last.at - samples[0]!.at) / 1000));
  const line = points(samples, last.at, top, span);
  const rates = running
    ? `Now ${bytes(last.rate)}/s (${bits(last.rate * 8)}), at most ${bytes(most)}/s in the last two minutes.`
    : `It was at most ${bytes(most)}/s (${bits(most * 8)}).`;
  const words = `${rates}${
    cap > 0 ? ` The hub's cap is ${bits(cap)}.` : ""
  }${last.rttMs ? ` Round trip ${Math.round(last.rttMs)} ms.` : ""}${
    last.loss !== undefined ? ` ${(last.loss * 100).toFixed(1)} % of packets lost.` : ""
  }`;
  // Every tenth second is enough to read.
  const rows = samples.filter((_, i) => i % 10 === (samples.length - 1) % 10).reverse();
  return (
    <figure class="rate stack-s">
      <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label="Rate of the last two minutes">
        {[0.25, 0.5, 0.75].map((y) => (
          <line key={y} class="grid-line" x1={0} x2={W} y1={y * H} y2={y * H} />
        ))}
        <polygon class="area" points={`${line} ${W},${H} ${line.split(",")[0]},${H}`} />
        <polyline class="line" points={line} />
        {shown && <line class="cap" x1={0} x2={W} y1={H - (capRate / top) * H} y2={H - (capRate / top) * H} />}
      </svg>
      <figcaption class="small muted tabular">{words}</figcaption>
      <details class="small">
        <summary>Rate as a table</summary>
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Rate</th>
              <th scope="col">Round trip</th>
              <th scope="col">Loss</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((s) => (
              <tr key={s.at}>
                <td data-label="Time">{time(s.at)}</td>
                <td data-label="Rate">{bytes(s.rate)}/s</td>
                <td data-label="Round trip">{s.rttMs ? `${Math.round(s.rttMs)} ms` : "–"}</td>
                <td data-label="Loss">{s.loss === undefined ? "–" : `${(s.loss * 100).toFixed(1)} %`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
