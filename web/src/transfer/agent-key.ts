// Where this browser keeps its pairing with the agent: in IndexedDB, because a key can lie there that no
// script can read out, not even one of ours. A stolen copy of the page's memory cannot become the page.

export interface Pairing {
  /** Ed25519; it signs and never leaves the browser. */
  key: CryptoKey;
  publicKey: string;
  agentKey: string;
  port: number;
}

const STORE = "pairing";
const ONLY = "agent";

function open(): Promise<IDBDatabase> {
  return new Promise((good, bad) => {
    const r = indexedDB.open("isthmus-agent", 1);
    r.onupgradeneeded = () => r.result.createObjectStore(STORE);
    r.onsuccess = () => good(r.result);
    r.onerror = () => bad(r.error);
  });
}

async function run<T>(mode: IDBTransactionMode, act: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await open();
  try {
    return await new Promise<T>((good, bad) => {
      const t = db.transaction(STORE, mode);
      const r = act(t.objectStore(STORE));
      t.oncomplete = () => good(r.result);
      t.onabort = t.onerror = () => bad(t.error);
    });
  } finally {
    db.close();
  }
}

/** The pairing, if there is one. A browser that keeps nothing, as some private windows, has none. */
export async function readPairing(): Promise<Pairing | undefined> {
  try {
    return (await run("readonly", (s) => s.get(ONLY))) as Pairing | undefined;
  } catch {
    return undefined;
  }
}

export const writePairing = (p: Pairing): Promise<unknown> => run("readwrite", (s) => s.put(p, ONLY));

export const removePairing = (): Promise<unknown> => run("readwrite", (s) => s.delete(ONLY));
