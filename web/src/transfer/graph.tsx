import { bits } from "../format";

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
export function points(values: { at: number; v: number }[], now: number, top: number, span: number): string {
  return values
    .map(
      ({ at, v }) =>
        `${(W - ((now - at) / 1000 / span) * W).toFixed(1)},${(H - (Math.min(v, top) / top) * H).toFixed(1)}`,
    )
    .join(" ");
}

const time = (at: number) => new Date(at).toLocaleTimeString("en-GB");
const ms = (n: number) => `${Math.round(n)} ms`;
const lost = (n: number) => `${(n * 100).toFixed(1)} %`;

/** One measured value over the time. `cap` is a line across, 0 for none. */
function Chart(p: { label: string; values: { at: number; v: number }[]; now: number; span: number; cap?: number }) {
  const most = Math.max(...p.values.map((x) => x.v));
  // A cap far above what the line gives would press the line to the ground.
  const cap = p.cap && p.cap < most * 4 ? p.cap : 0;
  const top = ceiling(Math.max(most, cap));
  const line = points(p.values, p.now, top, p.span);
  const y = H - (cap / top) * H;
  return (
    <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label={p.label}>
      {[0.25, 0.5, 0.75].map((part) => (
        <line key={part} class="grid-line" x1={0} x2={W} y1={part * H} y2={part * H} />
      ))}
      <polygon
        class="area"
        points={`${line} ${line.split(" ").at(-1)!.split(",")[0]},${H} ${line.split(",")[0]},${H}`}
      />
      <polyline class="line" points={line} />
      {cap > 0 && <line class="cap" x1={0} x2={W} y1={y} y2={y} />}
    </svg>
  );
}

/**
 * Rate, round trip and loss of the last two minutes as lines, in words and as a table. `cap` in
 * bit/s, 0 for none; `running`: the last sample is of now.
 */
export function RateGraph({ samples, cap, running }: { samples: Sample[]; cap: number; running: boolean }) {
  const last = samples.at(-1);
  if (!last) return null;
  const most = Math.max(...samples.map((s) => s.rate));
  const span = Math.min(SPAN, Math.max(LEAST, (last.at - samples[0]!.at) / 1000));
  const values = (of: (s: Sample) => number | undefined) =>
    samples.flatMap((s) => {
      const v = of(s);
      return v === undefined ? [] : [{ at: s.at, v }];
    });
  const rtt = values((s) => s.rttMs || undefined);
  const loss = values((s) => s.loss);
  const words = [
    running
      ? `Now ${bits(last.rate * 8)}, at most ${bits(most * 8)} in the last two minutes.`
      : `It was at most ${bits(most * 8)}.`,
  ];
  if (cap > 0) words.push(`The hub's cap is ${bits(cap)}.`);
  if (last.rttMs) words.push(`Round trip ${ms(last.rttMs)}.`);
  if (last.loss !== undefined) words.push(`${lost(last.loss)} of packets lost.`);
  // Every tenth second is enough to read.
  const rows = samples.filter((_, i) => i % 10 === (samples.length - 1) % 10).reverse();
  const all = { now: last.at, span };
  return (
    <figure class="rate stack-s">
      <Chart label="Rate of the last two minutes" values={values((s) => s.rate)} cap={cap / 8} {...all} />
      {rtt.length > 1 && loss.length > 1 && (
        <div class="small-charts small muted">
          <span>Round trip</span>
          <Chart label="Round trip of the last two minutes" values={rtt} {...all} />
          <span>Loss</span>
          <Chart label="Loss of the last two minutes" values={loss} {...all} />
        </div>
      )}
      <figcaption class="small muted tabular">{words.join(" ")}</figcaption>
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
                <td data-label="Rate">{bits(s.rate * 8)}</td>
                <td data-label="Round trip">{s.rttMs ? ms(s.rttMs) : "–"}</td>
                <td data-label="Loss">{s.loss === undefined ? "–" : lost(s.loss)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
