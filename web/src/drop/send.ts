// Sends files and folders of this computer into a drop folder, through the queue that all uploads of the page share.
import { signal } from "@preact/signals";
import { announce } from "../announce";
import { api, asProblem, call, idempotencyKey, Problem } from "../api";
import { count } from "../format";
import { type Found, walk } from "../transfer/tree";
import { deviceName } from "../transfer/words";
import { Marker } from "../upload/digest";
import { sameBytes } from "../upload/fingerprint";
import type { Announced, Queue } from "../upload/queue";
import { announcedOf, sendable } from "./sendable";
import type { DropFolder } from "./types";

/** Files announced together. The first of a thousand begin while the last are still being read. */
const PORTION = 200;

/** One at a time for a hub: what is chosen meanwhile comes after it. */
export class Sender {
  /** Files that are being looked at before they are sent. */
  readonly reading = signal(0);
  readonly problem = signal<Problem | null>(null);
  /** What was left out, in words. */
  readonly left = signal("");
  private line: Promise<unknown> = Promise.resolve();

  constructor(private readonly queue: Queue) {}

  files(folder: DropFolder, found: Found[]): Promise<void> {
    return this.after(() => this.send(folder, found));
  }

  folders(folder: DropFolder, entries: FileSystemEntry[]): Promise<void> {
    return this.after(async () => {
      const found: Found[] = [];
      try {
        await walk(entries, (some) => {
          found.push(...some);
          this.reading.value = found.length;
        });
      } catch {
        throw new Problem({
          status: 400,
          code: "folder_unreadable",
          detail: "A folder could not be read to its end.",
          next_step: "Check that you may read it. Nothing of it was sent.",
        });
      }
      await this.send(folder, found);
    });
  }

  private after(work: () => Promise<void>): Promise<void> {
    const run = async () => {
      this.problem.value = null;
      this.left.value = "";
      try {
        await work();
      } catch (e) {
        this.problem.value = asProblem(e);
      } finally {
        this.reading.value = 0;
      }
    };
    const next = this.line.then(run);
    this.line = next;
    return next;
  }

  private async send(folder: DropFolder, found: Found[]): Promise<void> {
    const { good, litter, empty } = sendable(found);
    const words = [];
    if (empty > 0) words.push(`${count(empty, "empty file")} left out.`);
    if (litter > 0) words.push(`${count(litter, "file")} of the system left out.`);
    this.left.value = words.join(" ");
    if (good.length === 0) {
      announce(`Nothing to send. ${this.left.peek()}`);
      return;
    }
    this.reading.value = good.length;
    const marker = new Marker();
    try {
      for (let i = 0; i < good.length; i += PORTION) {
        const some = good.slice(i, i + PORTION);
        const marks: string[] = [];
        for (const f of some) {
          marks.push(await marker.mark(f.file));
          this.reading.value--;
        }
        await this.announce(folder, some, marks);
      }
    } finally {
      marker.close();
    }
    announce(`${count(good.length, "file")} on the way to ${folder.name}.`);
  }

  private async announce(folder: DropFolder, some: Found[], marks: string[]): Promise<void> {
    const waiting = this.queue.items
      .peek()
      .flatMap((i) => (i.phase === "needs_file" && i.upload?.drop_folder_id === folder.id ? [i.upload] : []));
    const known = some.map((f, i) => ({ file: f.file, fingerprint: marks[i]!, input: announcedOf(f, marks[i]!) }));
    // Begun before a reload: it goes on where it stopped.
    const begunBefore = (k: (typeof known)[number]) =>
      waiting.find((u) => u.name === k.input.name && !!u.fingerprint && sameBytes(u.fingerprint, k.fingerprint));
    const old = known.filter(begunBefore);
    const fresh = known.filter((k) => !begunBefore(k));
    const begun = await call(
      api.POST("/v1/hubs/{hub}/transfers", {
        params: { path: { hub: this.queue.hub }, header: { "Idempotency-Key": idempotencyKey() } },
        body: {
          files: fresh.map((k) => k.input),
          upload_ids: old.map((k) => begunBefore(k)!.id),
          device: deviceName(),
          drop_folder_id: folder.id,
        },
      }),
    );
    const list: Announced[] = [];
    for (const [i, { file, fingerprint }] of [...fresh, ...old].entries()) {
      const upload = begun.uploads[i];
      if (upload) list.push({ file, fingerprint, upload });
    }
    this.queue.take(list);
  }
}

const senders = new Map<string, Sender>();
/** The sender of a hub; it goes on while other pages are shown. */
export function senderOf(queue: Queue): Sender {
  let s = senders.get(queue.hub);
  if (!s) {
    s = new Sender(queue);
    senders.set(queue.hub, s);
  }
  return s;
}
