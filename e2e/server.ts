// The server under test: a real process that the tests start, kill and start again.
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Person {
  email: string;
  password: string;
  role: "admin" | "content_admin" | "participant";
  name?: string;
}

export interface Demo {
  base_url: string;
  client_id: string;
  client_secret: string;
  hub_id: string;
  unconnected_hub_id: string;
  drop_folder: { id: string; path: string };
  people: Person[];
  kaltura: {
    service_url: string;
    partner_id: number;
    drop_folder_path: string;
    app_tokens: { id: string; token: string; hash_type: string; visibility: "shared" | "own" }[];
  };
}

export async function freePort(): Promise<number> {
  return new Promise((good, bad) => {
    const s = createServer();
    s.once("error", bad);
    s.listen(0, "127.0.0.1", () => {
      const at = s.address();
      s.close(() => (at && typeof at === "object" ? good(at.port) : bad(new Error("no port"))));
    });
  });
}

export class Server {
  private child?: ChildProcess;
  private constructor(
    readonly data: string,
    private readonly database: string,
    private readonly port: number,
    private readonly options: string[],
  ) {}

  static start(...options: string[]): Promise<Server> {
    return Server.startOn("", ...options);
  }

  /** On a Postgres database, named by its DSN; "" is SQLite. */
  static async startOn(database: string, ...options: string[]): Promise<Server> {
    const s = new Server(mkdtempSync(join(tmpdir(), "isthmus-e2e-")), database, await freePort(), options);
    await s.run();
    return s;
  }

  get demo(): Demo {
    return JSON.parse(readFileSync(join(this.data, "demo.json"), "utf8")) as Demo;
  }

  /** The arguments of another command on the same data. */
  command(...words: string[]): string[] {
    const args = [...words, "--data", this.data];
    return this.database ? [...args, "--db", this.database] : args;
  }

  /** Starts the process and waits until it says that it is ready. */
  async run(): Promise<void> {
    const bin = process.env.ISTHMUS_BIN ?? resolve(import.meta.dirname, "../bin/isthmus");
    const args = [...this.command("serve", "--demo"), "--addr", `127.0.0.1:${this.port}`, ...this.options];
    const child = spawn(bin, args, { stdio: ["ignore", "pipe", "pipe"] });
    const log = createWriteStream(join(this.data, "server.log"), { flags: "a" });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    this.child = child;
    for (let i = 0; i < 600; i++) {
      if (child.exitCode !== null) throw new Error(`the server ended: ${this.log()}`);
      try {
        const r = await fetch(`http://127.0.0.1:${this.port}/readyz`);
        if (r.ok) return;
      } catch {
        // Not listening yet.
      }
      await sleep(200);
    }
    throw new Error(`the server is not ready: ${this.log()}`);
  }

  /** Ends the process as a power cut would. */
  async kill(): Promise<void> {
    const child = this.child;
    if (!child?.pid || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    process.kill(child.pid, "SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    if (!process.env.KEEP_DATA) rmSync(this.data, { recursive: true, force: true });
  }

  private log(): string {
    try {
      return readFileSync(join(this.data, "server.log"), "utf8").slice(-3000);
    } catch {
      return "(no log)";
    }
  }
}
