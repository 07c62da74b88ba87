// `isthmus sandbox` as a developer's CI starts it: a process that prints its account as JSON.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

export interface Account {
  service_url: string;
  partner_id: number;
  admin_secret: string;
  user_secret: string;
  widget_id: string;
  drop_folder_id: number;
  drop_folder_path: string;
  operator_secret: string;
  app_tokens: { id: string; token: string; hash_type: string; visibility: "shared" | "own" }[];
}

export class Sandbox {
  private constructor(
    readonly account: Account,
    private readonly child: ChildProcess,
  ) {}

  /** With an address and a folder it comes back as the same one after a stop. */
  static async start(addr = "127.0.0.1:0", data?: string): Promise<Sandbox> {
    const bin = process.env.ISTHMUS_BIN ?? resolve(import.meta.dirname, "../bin/isthmus");
    const child = spawn(bin, ["sandbox", "--json", "--addr", addr, ...(data ? ["--data", data] : [])], { stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface({ input: child.stdout })) {
      return new Sandbox(JSON.parse(line) as Account, child);
    }
    throw new Error("the sandbox ended before it had said anything");
  }

  /** Asks the process to end and gives its exit code. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    this.child.kill("SIGTERM");
    const [code] = (await once(this.child, "exit")) as [number | null];
    return code;
  }
}
