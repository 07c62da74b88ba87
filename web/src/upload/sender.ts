// Sends the bytes of one file by tus. Loaded on demand, when the first upload begins.
import { DetailedError, Upload as TusUpload } from "tus-js-client";
import { authorization } from "../access";
import { watchHop } from "./hop";

/** Small enough for proxies that allow 100 MB a request, large enough to be quick. */
const CHUNK = 64 << 20;
watchHop();

/** A connection on which nothing moved for so long is dead, whatever the browser believes. */
const STALL_MS = 30_000;

export interface Broken {
  status: number; // 0 = nobody answered
  body: string;
  afterMs?: number; // when to come again, as the server says it with 429
}

export interface Sending {
  stop(): void;
}

/** Whether a repeat may succeed. Locked and conflicting offsets pass by themselves. */
export function retryable(status: number): boolean {
  return status === 0 || status >= 500 || [408, 409, 423, 425, 429, 460].includes(status);
}

/** Begins or goes on sending; the server's offset decides where. */
export function send(
  file: File,
  url: string,
  on: { progress(sent: number): void; done(): void; broken(why: Broken): void },
): Sending {
  let over = false;
  let moved = Date.now();
  const end = (f: () => void) => {
    if (over) return;
    over = true;
    clearInterval(watch);
    f();
  };
  const tus = new TusUpload(file, {
    uploadUrl: url,
    chunkSize: CHUNK,
    retryDelays: null, // the queue retries, with a countdown that people can see
    storeFingerprintForResuming: false, // the server's list is the memory
    removeFingerprintOnSuccess: false,
    onBeforeRequest: async (r) => {
      const proof = await authorization();
      if (proof) r.setHeader("Authorization", proof);
    },
    onProgress: (sent) => {
      moved = Date.now();
      if (!over) on.progress(sent);
    },
    onChunkComplete: () => {
      moved = Date.now();
    },
    onSuccess: () => end(on.done),
    onError: (e) => {
      const r = e instanceof DetailedError ? e.originalResponse : null;
      const status = r?.getStatus() ?? 0;
      const after = Number(r?.getHeader("Retry-After") ?? Number.NaN);
      end(() =>
        on.broken({
          status,
          body: r?.getBody() ?? "",
          afterMs: status === 429 && after >= 0 ? after * 1000 : undefined,
        }),
      );
    },
  });
  const watch = setInterval(() => {
    if (Date.now() - moved < STALL_MS) return;
    end(() => {
      void tus.abort();
      on.broken({ status: 0, body: "" });
    });
  }, 2000);
  tus.start();
  return { stop: () => end(() => void tus.abort()) };
}
