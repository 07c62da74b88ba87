// Carries out what the state machine decides for a file: marks it, announces it, sends, hashes, finishes.
import { api, asProblem, call, idempotencyKey, Problem, type Upload } from "../api";
import { type Hashing, hashFile, mark } from "./digest";
import { Rate } from "./eta";
import { type Failure, type Happening, type Item, over } from "./machine";
import type { Sending } from "./sender";

/** The list of files, to which the runner tells what happens. */
export interface Board {
  readonly hub: string;
  get(key: string): Item | undefined;
  happen(key: string, h: Happening): void;
  /** The unfinished upload with these bytes, if there is one, which from now on is the one of `key`. */
  adopt(key: string, fingerprint: string): Upload | null;
  /** The upload is the one of `key`, and of no other line. */
  sole(key: string, id: string): void;
}

/** What a file needs beside its state. */
interface Work {
  file?: File;
  fingerprint?: string;
  sending?: Sending;
  hashing?: Hashing;
  timer?: ReturnType<typeof setTimeout>;
  createKey: string;
  rate: Rate;
  shownAt: number;
}

export class Runner {
  private readonly work = new Map<string, Work>();

  constructor(private readonly board: Board) {}

  /** The file of a line, with its fingerprint when it is known. */
  give(key: string, file: File, fingerprint?: string): void {
    Object.assign(this.of(key), { file, fingerprint });
  }

  rate(key: string): Rate | undefined {
    return this.work.get(key)?.rate;
  }

  /** The next announcement is another one: the answer kept under the old key was a refusal. */
  anew(key: string): void {
    this.of(key).createKey = idempotencyKey();
  }

  forget(key: string): void {
    const w = this.work.get(key);
    w?.sending?.stop();
    w?.hashing?.stop();
    clearTimeout(w?.timer);
    this.work.delete(key);
  }

  /** Does what a phase asks for. */
  enter(it: Item): void {
    const w = this.of(it.key);
    clearTimeout(w.timer);
    if (it.phase !== "sending") {
      w.sending?.stop();
      w.sending = undefined;
      w.rate.reset();
    }
    if (over(it) || it.phase === "server") {
      w.hashing?.stop();
      w.hashing = undefined;
    }
    if (it.phase === "preparing") void this.prepare(it.key);
    if (it.phase === "sending") void this.send(it.key);
    if (it.phase === "finishing" && it.digest) void this.finish(it.key);
    if (it.phase === "retrying" && it.retryAt > 0) {
      w.timer = setTimeout(() => this.board.happen(it.key, { kind: "due" }), Math.max(0, it.retryAt - Date.now()));
    }
  }

  /** Says that the whole file is there. */
  async finish(key: string): Promise<void> {
    const it = this.board.get(key)!;
    try {
      const upload = await this.sayFinished(it, it.digest);
      this.board.happen(key, { kind: "server", upload });
    } catch (e) {
      this.broken(key, asProblem(e));
    }
  }

  sayFinished(it: Item, sha256: string | undefined): Promise<Upload> {
    return call(
      api.POST("/v1/hubs/{hub}/uploads/{id}/finish", {
        params: { path: { hub: this.board.hub, id: it.id } },
        body: { size: it.size, sha256 },
      }),
    );
  }

  private of(key: string): Work {
    let w = this.work.get(key);
    if (!w) {
      w = { createKey: idempotencyKey(), rate: new Rate(), shownAt: 0 };
      this.work.set(key, w);
    }
    return w;
  }

  private async prepare(key: string): Promise<void> {
    const w = this.of(key);
    const it = this.board.get(key)!;
    try {
      if (!w.file)
        throw new Problem({ code: "no_file", detail: "The file is no longer at hand.", next_step: "Choose it again." });
      const upload = it.id ? await this.look(it.id) : await this.announce(key, w, w.file);
      this.board.happen(key, { kind: "announced", upload });
      this.hash(key);
    } catch (e) {
      this.broken(key, asProblem(e));
    }
  }

  private look(id: string): Promise<Upload> {
    return call(api.GET("/v1/hubs/{hub}/uploads/{id}", { params: { path: { hub: this.board.hub, id } } }));
  }

  private async announce(key: string, w: Work, file: File): Promise<Upload> {
    w.fingerprint ??= await mark(file);
    const before = this.board.adopt(key, w.fingerprint);
    if (before) return before;
    const upload = await call(
      api.POST("/v1/hubs/{hub}/uploads", {
        params: { path: { hub: this.board.hub }, header: { "Idempotency-Key": w.createKey } },
        body: {
          name: file.name,
          size: file.size,
          content_type: file.type || undefined,
          fingerprint: w.fingerprint,
        },
      }),
    );
    this.board.sole(key, upload.id);
    return upload;
  }

  private async send(key: string): Promise<void> {
    const w = this.of(key);
    const it = this.board.get(key)!;
    try {
      const { send, retryable } = await import("./sender");
      if (this.board.get(key)?.phase !== "sending" || !w.file || !it.upload) return;
      w.sending = send(w.file, new URL(it.upload.tus_url, location.href).href, {
        progress: (sent) => {
          const now = Date.now();
          w.rate.add(now, sent);
          if (now - w.shownAt < 150 && sent < it.size) return;
          w.shownAt = now;
          this.board.happen(key, { kind: "progress", sent });
        },
        done: () => this.board.happen(key, { kind: "sent" }),
        broken: ({ status, body, afterMs }) => {
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
          // Whoever began later has it now; taking it back is for the person to decide.
          this.broken(key, p, retryable(status) && p.code !== "upload_taken_over", afterMs);
        },
      });
    } catch (e) {
      this.broken(key, asProblem(e));
    }
  }

  private broken(key: string, p: Problem, retryable = p.retryable || p.status === 0, afterMs?: number): void {
    const failure: Failure = { code: p.code, message: p.message, nextStep: p.nextStep, traceId: p.traceId };
    this.board.happen(key, {
      kind: "broken",
      retryable,
      failure,
      now: Date.now(),
      jitter: Math.random(),
      offline: !navigator.onLine,
      afterMs,
    });
  }

  /** Hashes the file while its bytes are being sent. */
  private hash(key: string): void {
    const w = this.of(key);
    const it = this.board.get(key);
    if (!it || it.digest || w.hashing || !w.file || over(it) || it.phase === "server") return;
    w.hashing = hashFile(w.file, {
      hashed: (bytes) => this.board.happen(key, { kind: "hashed", bytes }),
      digest: (digest) => {
        w.hashing = undefined;
        this.board.happen(key, { kind: "digest", digest });
      },
      broken: (p) => {
        w.hashing = undefined;
        this.broken(key, p, false);
      },
    });
  }
}
