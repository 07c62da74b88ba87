/** How much of either end of a file goes into its fingerprint. */
export const ENDS = 1 << 20;

/** The parts of a file that are hashed: the whole of a small file, both ends of a large one. */
export function ends(size: number): [number, number][] {
  if (size <= 2 * ENDS) return [[0, size]];
  return [
    [0, ENDS],
    [size - ENDS, size],
  ];
}

/**
 * The mark by which a file is found again after a reload or on another device. The hash of the ends
 * stands for the content; the time of change is kept too, so that a file that was edited in the
 * middle is not taken for the old one.
 */
export function fingerprint(name: string, size: number, lastModified: number, endsHash: string): string {
  return `v1:${size}:${lastModified}:${endsHash}:${Array.from(name.normalize("NFC")).slice(0, 60).join("")}`;
}

/**
 * Whether two fingerprints are of the same bytes. Name and time may differ: other devices and
 * downloads change them, so the size and the hash of the ends decide.
 */
export function sameBytes(a: string, b: string): boolean {
  const x = a.split(":");
  const y = b.split(":");
  return x[0] === "v1" && y[0] === "v1" && x[1] === y[1] && x[3] === y[3] && !!x[3];
}
