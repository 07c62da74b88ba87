// Reads and hashes files away from the page. SHA-256 of many gigabytes needs a streaming hash,
// which the browser itself does not offer.
import { createSHA256, sha256 } from "hash-wasm";
import { ends } from "./fingerprint";

export type Ask = { kind: "ends"; file: File } | { kind: "digest"; file: File };
export type Tell =
  | { kind: "ends"; hash: string }
  | { kind: "hashed"; bytes: number }
  | { kind: "digest"; digest: string }
  | { kind: "unreadable"; message: string };

const SLICE = 4 << 20;
const tell = (t: Tell) => postMessage(t);

async function hashEnds(file: File): Promise<void> {
  const parts = ends(file.size).map(([from, to]) => file.slice(from, to));
  tell({ kind: "ends", hash: await sha256(new Uint8Array(await new Blob(parts).arrayBuffer())) });
}

async function hashAll(file: File): Promise<void> {
  const hash = await createSHA256();
  hash.init();
  for (let at = 0; at < file.size; at += SLICE) {
    const part = await file.slice(at, Math.min(file.size, at + SLICE)).arrayBuffer();
    hash.update(new Uint8Array(part));
    tell({ kind: "hashed", bytes: at + part.byteLength });
  }
  tell({ kind: "digest", digest: hash.digest("hex") });
}

addEventListener("message", async (m: MessageEvent<Ask>) => {
  try {
    await (m.data.kind === "ends" ? hashEnds(m.data.file) : hashAll(m.data.file));
  } catch (e) {
    tell({ kind: "unreadable", message: e instanceof Error ? e.message : String(e) });
  }
});
