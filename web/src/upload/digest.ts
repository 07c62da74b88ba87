// Asks the worker that reads and hashes files.
import { Problem } from "../api";
import type { Ask, Tell } from "./digest.worker";
import { fingerprint } from "./fingerprint";

function worker(): Worker {
  return new Worker(new URL("./digest.worker.ts", import.meta.url), { type: "module" });
}

/** Marks files one after the other; `close` when there are no more. */
export class Marker {
  private readonly w = worker();

  /** The fingerprint of a file. Rejects with a Problem when it cannot be read. */
  async mark(file: File): Promise<string> {
    const hash = await new Promise<string>((good, bad) => {
      this.w.onmessage = (m: MessageEvent<Tell>) => {
        if (m.data.kind === "ends") good(m.data.hash);
        else if (m.data.kind === "unreadable") bad(unreadable());
      };
      this.w.onerror = () => bad(unreadable());
      this.w.postMessage({ kind: "ends", file } satisfies Ask);
    });
    return fingerprint(file.name, file.size, file.lastModified, hash);
  }

  close(): void {
    this.w.terminate();
  }
}

/** The fingerprint of one file. */
export async function mark(file: File): Promise<string> {
  const m = new Marker();
  try {
    return await m.mark(file);
  } finally {
    m.close();
  }
}

export interface Hashing {
  stop(): void;
}

/** Hashes a whole file; tells how far it is a few times a second. */
export function hashFile(
  file: File,
  on: { hashed(bytes: number): void; digest(hex: string): void; broken(p: Problem): void },
): Hashing {
  const w = worker();
  let shown = 0;
  const end = (f: () => void) => {
    w.terminate();
    f();
  };
  w.onmessage = (m: MessageEvent<Tell>) => {
    const t = m.data;
    if (t.kind === "hashed") {
      const now = Date.now();
      if (now - shown < 250) return;
      shown = now;
      on.hashed(t.bytes);
    } else if (t.kind === "digest") end(() => on.digest(t.digest));
    else end(() => on.broken(unreadable()));
  };
  w.onerror = () => end(() => on.broken(unreadable()));
  w.postMessage({ kind: "digest", file } satisfies Ask);
  return { stop: () => w.terminate() };
}

function unreadable(): Problem {
  return new Problem({
    status: 400,
    code: "unreadable",
    detail: "The file cannot be read any more.",
    next_step: "It may have been moved or changed: choose it again.",
    retryable: false,
  });
}
