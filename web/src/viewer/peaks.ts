/** Folds a row of values (0..1) into `n` bars, keeping the loudest of each. */
export function fold(peaks: ArrayLike<number>, n: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < n; i++) {
    const from = Math.floor((i * peaks.length) / n);
    const to = Math.max(from + 1, Math.floor(((i + 1) * peaks.length) / n));
    let max = 0;
    for (let j = from; j < to && j < peaks.length; j++) max = Math.max(max, Math.abs(peaks[j]!));
    out.push(Math.min(1, max));
  }
  return out;
}

/** Largest sound file that is decoded in the page to draw it. */
const LIMIT = 30 << 20;

/** The waveform of a sound: as the server computed it, else decoded here, else nothing. */
export async function loadPeaks(waveform: string | undefined, sound: string | undefined): Promise<number[]> {
  if (waveform) {
    const r = await fetch(waveform);
    if (r.ok) {
      const j = (await r.json()) as { peaks?: number[] } | number[];
      const peaks = Array.isArray(j) ? j : j.peaks;
      if (peaks?.length) return peaks;
    }
  }
  if (!sound) return [];
  const r = await fetch(sound);
  if (!r.ok || Number(r.headers.get("Content-Length") ?? 0) > LIMIT) return [];
  const context = new OfflineAudioContext(1, 1, 22050);
  const decoded = await context.decodeAudioData(await r.arrayBuffer());
  return fold(decoded.getChannelData(0), 800);
}
