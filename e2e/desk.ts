// A person's computer with the agent on it, a real process.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const bin = process.env.ISTHMUSCTL_BIN ?? resolve(import.meta.dirname, "../bin/isthmusctl");

export class Desk {
  readonly home = mkdtempSync(join(tmpdir(), "isthmus-agent-"));
  readonly folder = join(this.home, "Footage");
  private child?: ChildProcess;

  constructor(private readonly server: string) {
    mkdirSync(this.folder);
  }

  private ctl(...words: string[]): ChildProcess {
    return spawn(bin, ["--json", "--server", this.server, ...words], { env: { ...process.env, ISTHMUS_CONFIG_DIR: join(this.home, "config") }, stdio: ["ignore", "pipe", "inherit"] });
  }

  /** Starts the agent; it gives the port. */
  async run(): Promise<number> {
    this.child = this.ctl("agent", "run", "--folder", this.folder);
    for await (const line of createInterface(this.child.stdout!)) {
      const port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port) return Number(port);
    }
    throw new Error("the agent ended");
  }

  async kill(): Promise<void> {
    if (!this.child?.pid || this.child.exitCode !== null) return;
    const ended = once(this.child, "exit");
    process.kill(this.child.pid, "SIGKILL");
    await ended;
  }

  /** Asks for a code; `done` is how the command ended. */
  async code(): Promise<{ code: string; done: Promise<number> }> {
    const child = this.ctl("agent", "pair");
    const done = once(child, "exit").then(([status]) => status as number);
    for await (const line of createInterface(child.stdout!)) {
      const e = JSON.parse(line) as { event: string; code: string };
      if (e.event === "enter_code") {
        child.stdout!.resume();
        return { code: e.code, done };
      }
    }
    throw new Error("no code");
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.home, { recursive: true, force: true });
  }
}
