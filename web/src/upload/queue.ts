// The uploads of a hub in this page: carries out what the state machine decides.
import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { announce } from "../announce";
import { api, asProblem, call, idempotencyKey, Problem, type Upload } from "../api";
import type { LiveEvent } from "../live";
import { keepAwake } from "./awake";
import { mark } from "./digest";
import type { Rate } from "./eta";
import { sameBytes } from "./fingerprint";
import { fromServer, type Happening, type Item, newItem, next, total, turns, wouldBeLost } from "./machine";
import { Runner } from "./runner";
import { Teller } from "./tell";

/** Files sent at the same time; the browser opens six connections to a server and pages need some. */
const PARALLEL = 3;
/** Unfinished uploads that are asked for; who has more sees the newest. */
const MOST_LISTED = 1000;

/** A file and the upload that was announced for it. */
export interface Announced {
  file: File;
  fingerprint: string;
  upload: Upload;
}

export class Queue {
  readonly items = signal<Item[]>([]);
  /** Counts entries that came to be, so that lists know when to look again. */
  readonly arrived = signal(0);
  readonly busy: ReadonlySignal<boolean> = computed(() => this.items.value.some(wouldBeLost));
  readonly loadProblem = signal<Problem | null>(null);
  /** The keys of what is sent together: everything since the line was last idle. */
  private readonly run = signal<ReadonlySet<string>>(new Set());
  readonly total = computed(() => total(this.items.value.filter((i) => this.run.value.has(i.key))));
  /** The key of the file that has the line for itself. */
  readonly first = signal("");
  private readonly runner: Runner;
  /** Ids of what was cancelled here: a list that was asked for before still has them. */
  private readonly gone = new Set<string>();
  private looking?: ReturnType<typeof setTimeout>;
  private readonly teller = new Teller();

  constructor(readonly hub: string) {
    this.runner = new Runner({
      hub,
      get: this.get,
      happen: (key, h) => this.happen(key, h),
      adopt: (key, fingerprint) => this.adopt(key, fingerprint),
      sole: (key, id) => this.sole(key, id),
    });
    addEventListener("online", () => {
      for (const it of this.items.peek()) this.happen(it.key, { kind: "due" });
    });
    addEventListener("beforeunload", (e) => {
      if (this.busy.peek()) e.preventDefault();
    });
    // Keeps as many files under way as there are places.
    effect(() => {
      const { start, hold } = turns(this.items.value, PARALLEL, this.first.value);
      for (const it of hold) queueMicrotask(() => this.happen(it.key, { kind: "hold" }));
      for (const it of start) queueMicrotask(() => this.happen(it.key, { kind: "start" }));
    });
    effect(() => keepAwake(this.busy.value));
  }

  /** Takes files in. One that continues an unfinished upload is joined to it. */
  add(files: Iterable<File>): void {
    const added: Item[] = [];
    for (const file of files) {
      const key = `local-${idempotencyKey()}`;
      this.runner.give(key, file);
      added.push(newItem(key, file.name, file.size));
    }
    if (added.length === 0) return;
    this.items.value = [...added, ...this.items.value];
    this.begin(added);
  }

  /** Takes in files whose uploads were announced together, to be sent in this order. */
  take(list: Announced[]): void {
    const added: Item[] = [];
    for (const { file, fingerprint, upload } of list) {
      const known = this.byId(upload.id);
      const key = known?.key ?? upload.id;
      this.runner.give(key, file, fingerprint);
      if (known) this.happen(key, { kind: "file" });
      else added.push({ ...newItem(key, file.name, file.size), id: upload.id, upload, sent: upload.offset });
    }
    this.items.value = [...this.items.peek(), ...added];
    const ids = new Set(list.map((l) => l.upload.id));
    this.begin(this.items.peek().filter((i) => ids.has(i.id)));
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
    const found = await mark(file);
    if (it.upload.fingerprint && !sameBytes(found, it.upload.fingerprint)) throw wrong("This file has other contents.");
    this.runner.give(key, file, found);
    this.happen(key, { kind: "file" });
    this.begin([it]);
  }

  pause = (key: string) => this.happen(key, { kind: "pause" });
  resume = (key: string) => this.happen(key, { kind: "resume" });

  pauseAll(): void {
    for (const it of this.items.peek()) this.pause(it.key);
  }

  resumeAll(): void {
    for (const it of this.items.peek()) this.resume(it.key);
  }

  /** Lets a file go before the others of this page, which wait until its bytes are there. */
  sendFirst(key: string): void {
    const it = this.get(key);
    if (!it) return;
    this.first.value = key;
    this.resume(key);
    this.happen(key, { kind: "due" });
    announce(`${it.name} is sent first; the others wait.`);
  }

  /** Moves the day on which the server gives an unfinished upload up. */
  async keep(key: string): Promise<void> {
    const it = this.get(key);
    if (!it?.id) return;
    const upload = await call(api.POST("/v1/hubs/{hub}/uploads/{id}/extend", { params: { path: this.path(it.id) } }));
    this.happen(key, { kind: "server", upload });
  }

  /** Tries again now: here, or on the server when it has all the bytes. */
  async retry(key: string): Promise<void> {
    const it = this.get(key);
    if (it?.phase === "failed" && it.upload?.state === "failed") {
      const upload = await call(api.POST("/v1/hubs/{hub}/uploads/{id}/retry", { params: { path: this.path(it.id) } }));
      this.update(key, { ...it, phase: "server", failure: null });
      this.happen(key, { kind: "server", upload });
    } else {
      this.runner.anew(key);
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
      this.gone.add(it.id);
    }
    this.happen(key, { kind: "cancel" });
    this.forget(key);
    announce(`${it.name} was removed from the uploads.`);
  }

  /** Says "this is the whole file" for an upload whose bytes have all arrived, without a checksum. */
  async finishUnchecked(key: string): Promise<void> {
    const it = this.get(key);
    if (it) this.happen(key, { kind: "server", upload: await this.runner.sayFinished(it, undefined) });
  }

  /** Takes an upload that is over off the list. */
  dismiss(key: string): void {
    this.forget(key);
  }

  /** Asks the server for uploads that this page does not know: after a reload, or from another device. */
  async load(): Promise<void> {
    try {
      const listed: Upload[] = [];
      let cursor: string | undefined;
      do {
        const page = await call(
          api.GET("/v1/hubs/{hub}/uploads", {
            params: {
              path: { hub: this.hub },
              query: { state: ["receiving", "ingesting", "processing", "failed"], limit: 100, cursor },
            },
          }),
        );
        listed.push(...page.items);
        cursor = page.next;
      } while (cursor && listed.length < MOST_LISTED);
      this.loadProblem.value = null;
      const day = Date.now() - 86_400_000;
      for (const u of listed) {
        if (!u.mine || this.gone.has(u.id)) continue;
        const known = this.byId(u.id);
        if (known) this.happen(known.key, { kind: "server", upload: u });
        else if (u.state !== "failed" || Date.parse(u.updated_at) > day)
          this.items.value = [...this.items.peek(), fromServer(u)];
      }
      // What we hold to be under way and the server no longer lists has come to an end meanwhile.
      for (const it of this.items.peek()) {
        if (it.phase === "server" && !listed.some((u) => u.id === it.id)) void this.refresh(it.id);
      }
    } catch (e) {
      this.loadProblem.value = asProblem(e);
    }
  }

  /** Hears a live event. */
  hear(e: LiveEvent): void {
    if (e.type === "upload.created" || e.type === "transfer.created") {
      // The page itself announces its own uploads: give it the time to learn the ids. Many come together.
      clearTimeout(this.looking);
      this.looking = setTimeout(() => void this.load(), 1500);
      return;
    }
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
      this.happen(it.key, { kind: "server", upload, now: Date.now() });
    } else if (it) {
      void this.refresh(e.subject);
    }
  }

  rate(key: string): Rate | undefined {
    return this.runner.rate(key);
  }

  private async refresh(id: string): Promise<void> {
    try {
      const upload = await call(api.GET("/v1/hubs/{hub}/uploads/{id}", { params: { path: this.path(id) } }));
      const it = this.byId(id);
      if (it) this.happen(it.key, { kind: "server", upload });
    } catch {
      // The next event or reload asks again.
    }
  }

  private begin(added: Item[]): void {
    const keys = added.map((i) => i.key);
    this.run.value = new Set([...(this.total.peek().left > 0 ? this.run.peek() : []), ...keys]);
    this.teller.begun(added.map((i) => i.name));
  }

  private get = (key: string) => this.items.peek().find((i) => i.key === key);
  private byId = (id: string) => this.items.peek().find((i) => i.id === id);
  private path = (id: string) => ({ hub: this.hub, id });

  private update(key: string, it: Item): void {
    this.items.value = this.items.peek().map((i) => (i.key === key ? it : i));
  }

  private forget(key: string): void {
    this.runner.forget(key);
    this.items.value = this.items.peek().filter((i) => i.key !== key);
  }

  /** Takes the unfinished upload with these bytes off the list, which goes on under `key`. */
  private adopt(key: string, fingerprint: string): Upload | null {
    const before = this.items
      .peek()
      .find((i) => i.phase === "needs_file" && i.upload?.fingerprint && sameBytes(i.upload.fingerprint, fingerprint));
    if (!before || before.key === key) return null;
    this.items.value = this.items.peek().filter((i) => i !== before);
    return before.upload;
  }

  /** An upload was announced under `key`; the live event may have listed it already. */
  private sole(key: string, id: string): void {
    this.items.value = this.items.peek().filter((i) => i.key === key || i.id !== id);
  }

  private happen(key: string, h: Happening): void {
    const before = this.get(key);
    if (!before) return;
    const after = next(before, h);
    if (after === before) return;
    this.update(key, after);
    this.teller.tell(before, after, this.total.peek());
    if (before.upload?.entry_id !== after.upload?.entry_id || (after.phase === "ready" && before.phase !== "ready")) {
      this.arrived.value++;
    }
    if (after.phase !== before.phase) this.runner.enter(after);
    else if (h.kind === "digest" && after.phase === "finishing") void this.runner.finish(after.key);
  }
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
