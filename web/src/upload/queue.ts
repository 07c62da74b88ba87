// The uploads of a hub in this page: carries out what the state machine decides.
import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { announce } from "../announce";
import { api, asProblem, call, idempotencyKey, Problem, type Upload } from "../api";
import type { LiveEvent } from "../live";
import type { Ask, Tell } from "./digest.worker";
import { Rate } from "./eta";
import { fingerprint, sameBytes } from "./fingerprint";
import {
  type Failure,
  fromServer,
  type Happening,
  type Item,
  newItem,
  next,
  over,
  quarter,
  wouldBeLost,
} from "./machine";
import type { Sending } from "./sender";

/** Files sent at the same time; the browser opens six connections to a server and pages need some. */
const PARALLEL = 3;

interface Work {
  file?: File;
  fingerprint?: string;
  sending?: Sending;
  worker?: Worker;
  timer?: ReturnType<typeof setTimeout>;
  createKey: string;
  rate: Rate;
  shownAt: number;
  said: number;
}

export class Queue {
  readonly items = signal<Item[]>([]);
  /** Counts entries that came to be, so that lists know when to look again. */
  readonly arrived = signal(0);
  readonly busy: ReadonlySignal<boolean> = computed(() => this.items.value.some(wouldBeLost));
  readonly loadProblem = signal<Problem | null>(null);
  private readonly work = new Map<string, Work>();

  constructor(readonly hub: string) {
    addEventListener("online", () => {
      for (const it of this.items.peek()) this.happen(it.key, { kind: "due" });
    });
    addEventListener("beforeunload", (e) => {
      if (this.busy.peek()) e.preventDefault();
    });
    // Keeps as many files under way as there are places.
    effect(() => {
      const active = this.items.value.filter((i) => ["preparing", "sending", "finishing"].includes(i.phase)).length;
      const waiting = this.items.value.filter((i) => i.phase === "queued").slice(0, Math.max(0, PARALLEL - active));
      for (const it of waiting) queueMicrotask(() => this.happen(it.key, { kind: "start" }));
    });
  }

  /** Takes files in. One that continues an unfinished upload is joined to it. */
  add(files: Iterable<File>): void {
    const added: Item[] = [];
    for (const file of files) {
      const key = `local-${idempotencyKey()}`;
      this.work.set(key, { file, createKey: idempotencyKey(), rate: new Rate(), shownAt: 0, said: 0 });
      added.push(newItem(key, file.name, file.size));
    }
    if (added.length === 0) return;
    this.items.value = [...added, ...this.items.value];
    announce(added.length === 1 ? `Upload of ${added[0]!.name} begins.` : `${added.length} uploads begin.`);
  }

  /** Gives a file to an upload that lost it. Throws a Problem when it is another file. */
  async attach(key: string, file: File): Promise<void> {
    const it = this.get(key);
    if (!it?.upload) return;
    const wrong = (why: string) =>
      new Problem({
        code: "another_file",
        status: 400,
        detail: why,
        next_step: `Choose “${it.name}” as it was when the upload began.`,
      });
    if (file.size !== it.size) throw wrong("This file has another size.");
    const mark = await this.mark(file);
    if (it.upload.fingerprint && !sameBytes(mark, it.upload.fingerprint)) throw wrong("This file has other contents.");
    const w = this.workOf(key);
    w.file = file;
    w.fingerprint = mark;
    this.happen(key, { kind: "file" });
  }

  pause = (key: string) => this.happen(key, { kind: "pause" });
  resume = (key: string) => this.happen(key, { kind: "resume" });

  /** Tries again now: here, or on the server when it has all the bytes. */
  async retry(key: string): Promise<void> {
    const it = this.get(key);
    if (it?.phase === "failed" && it.upload?.state === "failed") {
      const upload = await call(api.POST("/v1/hubs/{hub}/uploads/{id}/retry", { params: { path: this.path(it.id) } }));
      this.update(key, { ...it, phase: "server", failure: null });
      this.happen(key, { kind: "server", upload });
    } else {
      this.workOf(key).createKey = idempotencyKey(); // the answer kept under the old key was a refusal
      this.happen(key, { kind: "retry" });
    }
  }

  /** Stops an upload, here and on the server, and takes it off the list. */
  async cancel(key: string): Promise<void> {
    const it = this.get(key);
    if (!it) return;
    if (it.id && it.phase !== "ready") {
      try {
        await call(api.DELETE("/v1/hubs/{hub}/uploads/{id}", { params: { path: this.path(it.id) } }));
      } catch (e) {
        const p = asProblem(e);
        // What is gone or over needs no cancelling.
        if (![404, 409, 410].includes(p.status)) throw p;
      }
    }
    this.happen(key, { kind: "cancel" });
    this.forget(key);
    announce(`${it.name} was removed from the uploads.`);
  }

  /** Says "this is the whole file" for an upload whose bytes have all arrived, without a checksum. */
  async finishUnchecked(key: string): Promise<void> {
    const it = this.get(key);
    if (!it) return;
    const upload = await this.sayFinished(it, undefined);
    this.happen(key, { kind: "server", upload });
  }

  /** Takes an upload that is over off the list. */
  dismiss(key: string): void {
    this.forget(key);
  }

  /** Asks the server for uploads that this page does not know: after a reload, or from another device. */
  async load(): Promise<void> {
    try {
      const page = await call(
        api.GET("/v1/hubs/{hub}/uploads", {
          params: {
            path: { hub: this.hub },
            query: { state: ["receiving", "ingesting", "processing", "failed"], limit: 100 },
          },
        }),
      );
      this.loadProblem.value = null;
      const day = Date.now() - 86_400_000;
      for (const u of page.items) {
        if (!u.mine) continue;
        const known = this.byId(u.id);
        if (known) this.happen(known.key, { kind: "server", upload: u });
        else if (u.state !== "failed" || Date.parse(u.updated_at) > day)
          this.items.value = [...this.items.peek(), fromServer(u)];
      }
      // What we hold to be under way and the server no longer lists has come to an end meanwhile.
      for (const it of this.items.peek()) {
        if (it.phase === "server" && !page.items.some((u) => u.id === it.id)) void this.refresh(it.id);
      }
    } catch (e) {
      this.loadProblem.value = asProblem(e);
    }
  }

  /** Hears a live event. */
  hear(e: LiveEvent): void {
    if (!e.type.startsWith("upload.")) return;
    const it = this.byId(e.subject);
    if (e.type === "upload.progress" && it?.upload) {
      const d = e.data;
      const upload: Upload = {
        ...it.upload,
        state: (d.state as Upload["state"]) ?? it.upload.state,
        progress: typeof d.progress === "number" ? d.progress : it.upload.progress,
        offset: typeof d.received === "number" ? d.received : it.upload.offset,
      };
      this.happen(it.key, { kind: "server", upload });
    } else if (it || e.type === "upload.created") {
      // The page itself announces its own uploads; give it the time to learn the id.
      setTimeout(() => void this.refresh(e.subject), it ? 0 : 1500);
    }
  }

  rate(key: string): Rate | undefined {
    return this.work.get(key)?.rate;
  }

  private async refresh(id: string): Promise<void> {
    try {
      const u = await call(api.GET("/v1/hubs/{hub}/uploads/{id}", { params: { path: this.path(id) } }));
      const it = this.byId(id);
      if (it) this.happen(it.key, { kind: "server", upload: u });
      else if (u.mine && !["ready", "cancelled", "expired"].includes(u.state)) {
        this.items.value = [fromServer(u), ...this.items.peek()];
      }
    } catch {
      // The next event or reload asks again.
    }
  }

  private get = (key: string) => this.items.peek().find((i) => i.key === key);
  private byId = (id: string) => this.items.peek().find((i) => i.id === id);
  private path = (id: string) => ({ hub: this.hub, id });

  private workOf(key: string): Work {
    let w = this.work.get(key);
    if (!w) {
      w = { createKey: idempotencyKey(), rate: new Rate(), shownAt: 0, said: 0 };
      this.work.set(key, w);
    }
    return w;
  }

  private update(key: string, it: Item): void {
    this.items.value = this.items.peek().map((i) => (i.key === key ? it : i));
  }

  private forget(key: string): void {
    const w = this.work.get(key);
    w?.sending?.stop();
    w?.worker?.terminate();
    clearTimeout(w?.timer);
    this.work.delete(key);
    this.items.value = this.items.peek().filter((i) => i.key !== key);
  }

  private happen(key: string, h: Happening): void {
    const before = this.get(key);
    if (!before) return;
    const after = next(before, h);
    if (after === before) return;
    this.update(key, after);
    this.tell(before, after);
    if (before.upload?.entry_id !== after.upload?.entry_id || (after.phase === "ready" && before.phase !== "ready")) {
      this.arrived.value++;
    }
    if (after.phase !== before.phase) this.enter(after);
    else if (h.kind === "digest" && after.phase === "finishing") void this.finish(after.key);
  }

  /** Does what a phase asks for. */
  private enter(it: Item): void {
    const w = this.workOf(it.key);
    clearTimeout(w.timer);
    if (it.phase !== "sending") {
      w.sending?.stop();
      w.sending = undefined;
      w.rate.reset();
    }
    if (over(it) || it.phase === "server") {
      w.worker?.terminate();
      w.worker = undefined;
    }
    if (it.phase === "preparing") void this.prepare(it.key);
    if (it.phase === "sending") void this.send(it.key);
    if (it.phase === "finishing" && it.digest) void this.finish(it.key);
    if (it.phase === "retrying" && it.retryAt > 0) {
      w.timer = setTimeout(() => this.happen(it.key, { kind: "due" }), Math.max(0, it.retryAt - Date.now()));
    }
  }

  private async prepare(key: string): Promise<void> {
    const w = this.workOf(key);
    const it = this.get(key)!;
    try {
      if (!w.file)
        throw new Problem({ code: "no_file", detail: "The file is no longer at hand.", next_step: "Choose it again." });
      if (it.id) {
        const upload = await call(api.GET("/v1/hubs/{hub}/uploads/{id}", { params: { path: this.path(it.id) } }));
        this.happen(key, { kind: "announced", upload });
      } else {
        w.fingerprint ??= await this.mark(w.file);
        const before = this.items
          .peek()
          .find(
            (i) => i.phase === "needs_file" && i.upload?.fingerprint && sameBytes(i.upload.fingerprint, w.fingerprint!),
          );
        if (before?.upload) {
          this.items.value = this.items.peek().filter((i) => i.key !== before.key);
          this.happen(key, { kind: "announced", upload: before.upload });
        } else {
          const upload = await call(
            api.POST("/v1/hubs/{hub}/uploads", {
              params: { path: { hub: this.hub }, header: { "Idempotency-Key": w.createKey } },
              body: {
                name: w.file.name,
                size: w.file.size,
                content_type: w.file.type || undefined,
                fingerprint: w.fingerprint,
              },
            }),
          );
          // The live event may have listed it already.
          this.items.value = this.items.peek().filter((i) => i.key === key || i.id !== upload.id);
          this.happen(key, { kind: "announced", upload });
        }
      }
      this.hash(key);
    } catch (e) {
      this.broken(key, asProblem(e));
    }
  }

  private async send(key: string): Promise<void> {
    const w = this.workOf(key);
    const it = this.get(key)!;
    try {
      const { send, retryable } = await import("./sender");
      if (this.get(key)?.phase !== "sending" || !w.file || !it.upload) return;
      w.sending = send(w.file, new URL(it.upload.tus_url, location.href).href, {
        progress: (sent) => {
          const now = Date.now();
          w.rate.add(now, sent);
          if (now - w.shownAt < 150 && sent < it.size) return;
          w.shownAt = now;
          this.happen(key, { kind: "progress", sent });
        },
        done: () => this.happen(key, { kind: "sent" }),
        broken: ({ status, body }) => {
          let p = new Problem({
            status,
            code: "offline",
            detail: "The connection was lost.",
            next_step: "We try again by ourselves.",
          });
          try {
            p = new Problem({ status, ...JSON.parse(body) });
          } catch {
            // Not ours; the status says enough.
            if (status) p = new Problem({ status, detail: `The server answered ${status}.`, next_step: "Try again." });
          }
          this.broken(key, p, retryable(status));
        },
      });
    } catch (e) {
      this.broken(key, asProblem(e));
    }
  }

  private async finish(key: string): Promise<void> {
    const it = this.get(key)!;
    try {
      const upload = await this.sayFinished(it, it.digest);
      this.happen(key, { kind: "server", upload });
    } catch (e) {
      this.broken(key, asProblem(e));
    }
  }

  private sayFinished(it: Item, sha256: string | undefined): Promise<Upload> {
    return call(
      api.POST("/v1/hubs/{hub}/uploads/{id}/finish", {
        params: { path: this.path(it.id) },
        body: { size: it.size, sha256 },
      }),
    );
  }

  private broken(key: string, p: Problem, retryable = p.retryable || p.status === 0): void {
    const failure: Failure = { code: p.code, message: p.message, nextStep: p.nextStep };
    this.happen(key, {
      kind: "broken",
      retryable,
      failure,
      now: Date.now(),
      jitter: Math.random(),
      offline: !navigator.onLine,
    });
  }

  private worker(): Worker {
    return new Worker(new URL("./digest.worker.ts", import.meta.url), { type: "module" });
  }

  private async mark(file: File): Promise<string> {
    const worker = this.worker();
    try {
      const hash = await new Promise<string>((good, bad) => {
        worker.onmessage = (m: MessageEvent<Tell>) => {
          if (m.data.kind === "ends") good(m.data.hash);
          else if (m.data.kind === "unreadable") bad(unreadable());
        };
        worker.onerror = () => bad(unreadable());
        worker.postMessage({ kind: "ends", file } satisfies Ask);
      });
      return fingerprint(file.name, file.size, file.lastModified, hash);
    } finally {
      worker.terminate();
    }
  }

  /** Hashes the file while its bytes are being sent. */
  private hash(key: string): void {
    const w = this.workOf(key);
    const it = this.get(key);
    if (!it || it.digest || w.worker || !w.file || over(it) || it.phase === "server") return;
    const worker = this.worker();
    w.worker = worker;
    let shown = 0;
    const end = () => {
      worker.terminate();
      w.worker = undefined;
    };
    worker.onmessage = (m: MessageEvent<Tell>) => {
      if (m.data.kind === "hashed") {
        const now = Date.now();
        if (now - shown > 250) this.happen(key, { kind: "hashed", bytes: m.data.bytes });
        shown = now - shown > 250 ? now : shown;
      } else if (m.data.kind === "digest") {
        end();
        this.happen(key, { kind: "digest", digest: m.data.digest });
      } else {
        end();
        this.broken(key, unreadable(), false);
      }
    };
    worker.onerror = () => {
      end();
      this.broken(key, unreadable(), false);
    };
    worker.postMessage({ kind: "digest", file: w.file } satisfies Ask);
  }

  /** Announces a start, each quarter at most, and the end. */
  private tell(before: Item, after: Item): void {
    const w = this.workOf(after.key);
    if (after.phase === "sending") {
      const q = quarter(after.sent, after.size);
      if (q > w.said && q < 4) {
        w.said = q;
        announce(`${after.name}: ${q * 25} percent sent.`);
      }
    }
    if (before.phase === after.phase) return;
    if (after.phase === "server") announce(`${after.name} is uploaded and being processed.`);
    if (after.phase === "ready") announce(`${after.name} is ready.`);
    if (after.phase === "failed")
      announce(`${after.name} failed. ${after.failure?.message ?? ""} ${after.failure?.nextStep ?? ""}`);
    if (after.phase === "retrying") announce(`${after.name}: connection lost, trying again by itself.`);
  }
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

const queues = new Map<string, Queue>();
/** The queue of a hub; it lives as long as the page, whatever is shown. */
export function queueOf(hub: string): Queue {
  let q = queues.get(hub);
  if (!q) {
    q = new Queue(hub);
    queues.set(hub, q);
  }
  return q;
}
