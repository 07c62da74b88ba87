// Carries out the list before the start: reads folders, marks files, announces them together.
import { computed, signal } from "@preact/signals";
import { api, asProblem, call, idempotencyKey, Problem, type Upload } from "../api";
import { Marker } from "../upload/digest";
import type { Announced, Queue } from "../upload/queue";
import { checks, inputOf, pointedAt, type Row, titled, withoutLitter } from "./preflight";
import { asTheHubSays, type Speed, speedBody } from "./speed";
import { type Found, walk } from "./tree";
import { deviceName } from "./words";

export class Batch {
  readonly rows = signal<Row[]>([]);
  readonly picked = signal<ReadonlySet<number>>(new Set());
  /** Folders that are being listed. */
  readonly listing = signal(0);
  /** Files of systems that were left out. */
  readonly litter = signal(0);
  readonly problem = signal<Problem | null>(null);
  readonly starting = signal(false);
  private readonly queue = signal<Queue | null>(null);
  private readonly known = signal<Upload[]>([]);
  private readonly looking = signal(false);
  /** Bytes that the hub's quota has room for; absent: no limit. */
  readonly free = signal<number | undefined>(undefined);
  readonly speed = signal<Speed>(asTheHubSays);
  readonly checks = computed(() =>
    checks(this.rows.value, this.queue.value?.items.value ?? [], this.known.value, this.free.value),
  );
  /** What the start would send. */
  readonly good = computed(() =>
    this.rows.value.filter((r) => !["bad", "reading"].includes(this.checks.value.get(r.id)!.tone)),
  );
  readonly reading = computed(
    () =>
      this.listing.value > 0 ||
      this.looking.value ||
      this.rows.value.some((r) => this.checks.value.get(r.id)!.tone === "reading"),
  );
  private ids = 0;
  private key = idempotencyKey();
  private marking = false;

  /** Says for which hub the list is; the files stay when it changes. */
  use(queue: Queue): void {
    if (this.queue.peek() === queue) return;
    this.queue.value = queue;
    this.known.value = [];
    this.free.value = undefined;
    this.speed.value = asTheHubSays;
    this.rows.value = this.rows.peek().map((r) => ({ ...r, refused: "" }));
    this.changed();
    if (this.rows.peek().length > 0) void this.lookUp();
  }

  add(found: Found[]): void {
    const { kept, dropped } = withoutLitter(found);
    this.litter.value += dropped;
    if (kept.length === 0) return;
    if (this.rows.peek().length === 0) void this.lookUp();
    const rows = kept.map((f) => ({
      ...f,
      id: ++this.ids,
      title: "",
      tags: "",
      description: "",
      mark: "",
      refused: "",
    }));
    this.rows.value = [...this.rows.peek(), ...rows];
    this.changed();
    void this.markAll();
  }

  async addFolders(entries: FileSystemEntry[]): Promise<void> {
    this.listing.value++;
    try {
      await walk(entries, (some) => this.add(some));
    } catch {
      this.problem.value = new Problem({
        status: 400,
        code: "folder_unreadable",
        detail: "A folder could not be read to its end.",
        next_step: "Check that you may read it, and add what is missing.",
      });
    } finally {
      this.listing.value--;
    }
  }

  edit(ids: ReadonlySet<number>, change: (r: Row, n: number) => Partial<Row>): void {
    let n = 0;
    this.rows.value = this.rows.peek().map((r) => (ids.has(r.id) ? { ...r, ...change(r, ++n) } : r));
    this.changed();
  }

  choose(speed: Speed): void {
    this.speed.value = speed;
    this.changed();
  }

  /** Titles by a pattern, more tags and a description, for several rows at once. */
  editAll(ids: ReadonlySet<number>, pattern: string, tags: string, description: string): void {
    this.edit(ids, (r, n) => ({
      title: pattern.trim() ? titled(pattern.trim(), r.file.name, n) : r.title,
      tags: tags.trim() ? [r.tags.trim(), tags.trim()].filter(Boolean).join(", ") : r.tags,
      description: description.trim() || r.description,
    }));
  }

  remove(ids: ReadonlySet<number>): void {
    this.rows.value = this.rows.peek().filter((r) => !ids.has(r.id));
    this.picked.value = new Set([...this.picked.peek()].filter((id) => !ids.has(id)));
    this.changed();
    if (this.rows.peek().length === 0) this.litter.value = 0;
  }

  clear(): void {
    this.remove(new Set(this.rows.peek().map((r) => r.id)));
  }

  /** Announces what is good and hands it to the queue. True when all of the list is on its way. */
  async start(): Promise<boolean> {
    const queue = this.queue.peek();
    const all = this.good.peek();
    if (!queue || this.reading.peek() || this.starting.peek() || all.length === 0) return false;
    const old = all.filter((r) => this.checks.peek().get(r.id)!.continues);
    const fresh = all.filter((r) => !old.includes(r));
    const oldIds = old.map((r) => this.checks.peek().get(r.id)!.continues!.id);
    this.starting.value = true;
    this.problem.value = null;
    try {
      const begun = await call(
        api.POST("/v1/hubs/{hub}/transfers", {
          params: { path: { hub: queue.hub }, header: { "Idempotency-Key": this.key } },
          body: {
            files: fresh.map(inputOf),
            upload_ids: oldIds,
            device: deviceName(),
            ...speedBody(this.speed.peek()),
          },
        }),
      );
      const list: Announced[] = [];
      for (const [i, r] of [...fresh, ...old].entries()) {
        const upload = begun.uploads[i];
        if (upload) list.push({ file: r.file, fingerprint: r.mark, upload });
      }
      queue.take(list);
      this.remove(new Set(all.map((r) => r.id)));
      return this.rows.peek().length === 0;
    } catch (e) {
      const p = asProblem(e);
      if (p.status !== 0) this.changed(); // answered: the same key would only repeat the answer
      this.problem.value = p;
      this.refuse(p, { files: fresh, upload_ids: old });
      return false;
    } finally {
      this.starting.value = false;
    }
  }

  /** Notes a refusal at the row that it is about; one of a kind of file holds for all of that kind. */
  private refuse(p: Problem, sent: Record<"files" | "upload_ids", Row[]>): void {
    for (const f of p.fields) {
      const at = pointedAt(f.pointer);
      const row = at && sent[at.list][at.index];
      if (!row) continue;
      const ending = (name: string) => name.slice(name.lastIndexOf(".")).toLowerCase();
      const same = (r: Row) =>
        r === row || (p.code === "type_not_accepted" && ending(r.file.name) === ending(row.file.name));
      this.rows.value = this.rows.peek().map((r) => (same(r) ? { ...r, refused: f.detail } : r));
    }
  }

  private changed(): void {
    this.key = idempotencyKey();
  }

  /** What is unfinished or was sent before, to tell files that are already there. */
  private async lookUp(): Promise<void> {
    const queue = this.queue.peek();
    if (!queue) return;
    this.looking.value = true;
    try {
      const page = await call(
        api.GET("/v1/hubs/{hub}/uploads", {
          params: {
            path: { hub: queue.hub },
            query: { state: ["receiving", "ingesting", "processing", "ready"], limit: 100 },
          },
        }),
      );
      if (this.queue.peek() === queue) this.known.value = page.items.filter((u) => u.mine);
    } catch {
      // The list is a help; what the server says at the start counts.
    } finally {
      this.looking.value = false;
    }
  }

  /** Reads both ends of each file, one after the other. */
  private async markAll(): Promise<void> {
    if (this.marking) return;
    this.marking = true;
    const marker = new Marker();
    const next = () => this.rows.peek().find((r) => !r.mark && !r.refused && r.file.size > 0 && !marks.has(r.id));
    const marks = new Map<number, Partial<Row>>();
    // Shown in portions: a big folder would else be drawn anew for each of its files.
    const show = () => {
      if (marks.size > 0) this.rows.value = this.rows.peek().map((r) => ({ ...r, ...marks.get(r.id) }));
      marks.clear();
    };
    let shown = Date.now();
    for (let r = next(); r; r = next()) {
      try {
        marks.set(r.id, { mark: await marker.mark(r.file) });
      } catch (e) {
        marks.set(r.id, { refused: asProblem(e).message });
      }
      if (Date.now() - shown > 200) {
        show();
        shown = Date.now();
      }
    }
    show();
    marker.close();
    this.marking = false;
    // Added between the last look and now.
    if (next()) void this.markAll();
  }
}

/** One list for the page: who sees that it is the wrong hub changes the hub, not the list. */
export const batch = new Batch();
