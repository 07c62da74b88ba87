/** Estimates the rate of a transfer from what was sent in the last seconds. */
export class Rate {
  private samples: { at: number; bytes: number }[] = [];

  /** `windowMs` is how far back to look: short enough to follow a change, long enough not to flicker. */
  constructor(private readonly windowMs = 8000) {}

  /** Notes that `bytes` in total were sent at `at` (ms). */
  add(at: number, bytes: number): void {
    const last = this.samples.at(-1);
    if (last && bytes < last.bytes) this.samples = [];
    this.samples.push({ at, bytes });
    const from = at - this.windowMs;
    // Keep one sample before the window, or a slow line would seem to stand still.
    while (this.samples.length > 2 && this.samples[1]!.at <= from) this.samples.shift();
  }

  /** Forgets everything; after a pause the time that passed says nothing about the line. */
  reset(): void {
    this.samples = [];
  }

  /** Bytes per second; 0 when unknown. */
  perSecond(): number {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.at - first.at < 250) return 0;
    return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
  }
}
