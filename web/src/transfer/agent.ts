// The way to `isthmusctl agent`, a service of the person on their own computer (docs/agent.md). It has
// a login of its own at our server: no token of ours ever goes to it, and no file comes from it.
// Nothing here asks for the agent until this browser was paired with it: the browser may show a
// permission prompt for that, and programs on a computer are nobody's business unasked.
import { EventSourceParserStream } from "eventsource-parser/stream";
import { Problem } from "../api";
import { reconnectDelay } from "../live";
import { type Pairing, readPairing, removePairing, writePairing } from "./agent-key";

/** Where agents listen, on 127.0.0.1; the content policy of the page allows these and no others. */
export const AGENT_PORTS = [27710, 27711, 27712];

/** queued: its turn comes; waiting: it tries again at retry_at; paused: by a person. */
export type AgentJobState = "queued" | "sending" | "waiting" | "paused" | "done" | "failed" | "cancelled";

export interface AgentError {
  code: string;
  message: string;
  next_step: string;
}

/** One transfer in the agent's queue. */
export interface AgentJob {
  id: string;
  hub: string;
  /** Our id of it, as soon as the server has given one: the same as in GET …/transfers. */
  transfer_id?: string;
  /** Of its only file or folder, or of the first. */
  name: string;
  state: AgentJobState;
  /** Before the others of the queue. */
  first: boolean;
  policy?: "fixed" | "high" | "fair" | "low";
  /** Wished for, bit/s. */
  rate_bps?: number;
  files: number;
  files_done: number;
  size: number;
  sent: number;
  live?: AgentLive;
  error?: AgentError;
  retry_at?: string;
  created_at: string;
  ended_at?: string;
}

/** How it goes now, measured by the agent. */
export interface AgentLive {
  path: "none" | "quic" | "https";
  rate_bps: number;
  rtt_ms?: number;
  loss?: number;
  limited_by?: string;
  /** Why it goes by HTTPS, in words. */
  fallback?: string;
}

/** A folder that the person opened to this page when they installed the agent. */
export interface AgentFolder {
  id: string;
  name: string;
}

export interface AgentEntry {
  name: string;
  folder: boolean;
  size: number;
  modified_at: string;
}

export interface AgentState {
  /** The computer's name. */
  device: string;
  version: string;
  /** Ids of our hubs that the agent itself is signed in to; to another nothing is sent before login(). */
  hubs: string[];
  /** Whether it can open the system's own file dialog. */
  dialog: boolean;
  folders: AgentFolder[];
  /** In the order in which they are sent; what ended comes last, the newest first. */
  jobs: AgentJob[];
}

/** Something that was chosen on the computer. Its id is good for one job and for an hour; paths stay with the agent. */
export interface Picked {
  id: string;
  name: string;
  folder: boolean;
  files: number;
  size: number;
}

export interface AgentJobInput {
  hub: string;
  picks: string[];
  policy?: "fixed" | "high" | "fair" | "low";
  rate_bps?: number;
  first?: boolean;
}

/** A sign-in of the agent: the person allows it at `address`, where `code` is asked for. */
export interface AgentLogin {
  address: string;
  code: string;
}

/** Whether this browser was paired with an agent. Asks nobody. */
export async function paired(): Promise<boolean> {
  return (await readPairing()) !== undefined;
}

/**
 * What the browser says to requests to this computer: "prompt" = it will ask the person,
 * "unknown" = it has no such question. Asks nobody.
 */
export async function permission(): Promise<PermissionState | "unknown"> {
  for (const name of ["loopback-network", "local-network-access"]) {
    try {
      return (await navigator.permissions.query({ name: name as PermissionName })).state;
    } catch {
      // This browser does not know the name.
    }
  }
  return "unknown";
}

/** Finds the agent that this browser was paired with; null when it does not run here. */
export async function findAgent(): Promise<Agent | null> {
  const pairing = await readPairing();
  if (!pairing) return null;
  for (const port of [pairing.port, ...AGENT_PORTS.filter((p) => p !== pairing.port)]) {
    const token = await signIn(port, pairing);
    if (token) return new Agent(port, token, pairing);
  }
  if ((await permission()) === "denied") throw refusedByBrowser();
  return null;
}

/** Pairs this browser with the agent that shows `code`. Throws a Problem that says why not. */
export async function pair(code: string): Promise<Agent> {
  const wanted = code.toUpperCase().replace(/[^0-9A-Z]/g, "");
  // The code's first character names the port, so that no other program is told the rest.
  const port = AGENT_PORTS[Number(wanted[0]) - 1];
  if (!port || wanted.length !== 9) {
    throw new Problem({
      status: 400,
      code: "invalid_code",
      detail: "This is not a code of the agent.",
      next_step: "It looks like 1-ABCD-EFGH. Run isthmusctl agent pair to see one.",
      retryable: false,
    });
  }
  const key = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  const publicKey = base64(new Uint8Array(await crypto.subtle.exportKey("raw", key.publicKey)));
  const answer = await ask<{ agent_key: string }>(port, "", "POST", "/v1/pair", { code: wanted, key: publicKey });
  const pairing: Pairing = { key: key.privateKey, publicKey, agentKey: answer.agent_key, port };
  await writePairing(pairing);
  const agent = await findAgent();
  if (!agent) throw gone();
  return agent;
}

/** Forgets the pairing, here and, when it can be reached, at the agent. What it sends goes on. */
export async function unpair(): Promise<void> {
  try {
    await (await findAgent())?.ask("DELETE", "/v1/pair");
  } catch {
    // The key is thrown away below, which is what counts.
  }
  await removePairing();
}

/** An agent that knows us. Every method throws a Problem when it cannot do it. */
export class Agent {
  constructor(
    private port: number,
    private token: string,
    private readonly pairing: Pairing,
  ) {}

  state = (): Promise<AgentState> => this.ask("GET", "/v1/state");

  /** Opens the system's dialog on the person's screen; empty when they chose nothing. */
  pick = async (kind: "files" | "folder"): Promise<Picked[]> =>
    (await this.ask<{ picks: Picked[] }>("POST", "/v1/dialog", { kind })).picks;

  /** What lies in an open folder, or below it; `path` uses slashes. */
  list = (folder: string, path = ""): Promise<{ entries: AgentEntry[]; truncated: boolean }> =>
    this.ask("GET", `/v1/folders/${encodeURIComponent(folder)}?path=${encodeURIComponent(path)}`);

  /** Chooses files and folders of an open folder. */
  choose = async (folder: string, paths: string[]): Promise<Picked[]> =>
    (await this.ask<{ picks: Picked[] }>("POST", `/v1/folders/${encodeURIComponent(folder)}`, { paths })).picks;

  /** Chooses by whole paths that the person typed or pasted; they must lie in an open folder. */
  choosePaths = async (paths: string[]): Promise<Picked[]> =>
    (await this.ask<{ picks: Picked[] }>("POST", "/v1/paths", { paths })).picks;

  /** Puts a transfer into the queue; it survives the browser, the agent and the computer. */
  send = (job: AgentJobInput): Promise<AgentJob> => this.ask("POST", "/v1/jobs", job);

  pause = (id: string): Promise<AgentJob> => this.act(id, "pause");
  /** Also tries a failed one again. */
  resume = (id: string): Promise<AgentJob> => this.act(id, "resume");
  first = (id: string): Promise<AgentJob> => this.act(id, "first");
  cancel = (id: string): Promise<AgentJob> => this.act(id, "cancel");
  /** Takes one that has ended off the list. */
  remove = (id: string): Promise<void> => this.ask("DELETE", `/v1/jobs/${encodeURIComponent(id)}`);

  /** Begins the agent's own sign-in at our server; the person chooses the hub there. `hubs` tells when it is done. */
  login = (): Promise<AgentLogin> => this.ask("POST", "/v1/login");

  /**
   * Tells the state now and whenever it changes, several times a second while bytes move; null while
   * the agent cannot be reached. Until the returned function is called.
   */
  follow(heard: (state: AgentState | null) => void): () => void {
    const stop = new AbortController();
    void this.listen(heard, stop.signal);
    return () => stop.abort();
  }

  private act = (id: string, what: string): Promise<AgentJob> =>
    this.ask("POST", `/v1/jobs/${encodeURIComponent(id)}/${what}`);

  private async listen(heard: (state: AgentState | null) => void, stop: AbortSignal): Promise<void> {
    for (let attempt = 0; !stop.aborted; attempt++) {
      try {
        const r = await this.fetch("GET", "/v1/events", undefined, stop);
        const messages = r
          .body!.pipeThrough(new TextDecoderStream())
          .pipeThrough(new EventSourceParserStream())
          .getReader();
        for (;;) {
          const { done, value } = await messages.read();
          if (done) break;
          attempt = 0;
          heard(JSON.parse(value.data) as AgentState);
        }
      } catch {
        // Stopped, restarted or updated: come again.
      }
      if (stop.aborted) return;
      heard(null);
      await new Promise((wake) => setTimeout(wake, reconnectDelay(attempt)));
    }
  }

  /** For the methods of this file. */
  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const r = await this.fetch(method, path, body);
    return (r.status === 204 ? undefined : await r.json()) as T;
  }

  /** An agent that was started anew knows no token of before, and may listen elsewhere: sign in once more. */
  private async fetch(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    try {
      return await answerOf(this.port, this.token, method, path, body, signal);
    } catch (e) {
      if (!(e instanceof Problem) || (e.status !== 401 && e.status !== 0)) throw e;
      const again = await findAgent();
      if (!again) throw gone();
      this.port = again.port;
      this.token = again.token;
      return answerOf(this.port, this.token, method, path, body, signal);
    }
  }

  /** For those who want to show which agent it is. */
  get fingerprint(): string {
    return this.pairing.agentKey.slice(0, 8);
  }
}

/**
 * Proves to the agent on a port that we are the paired page, and has it prove that it is our agent:
 * another program there learns nothing, as each signature holds for one port and one challenge.
 */
async function signIn(port: number, pairing: Pairing): Promise<string | undefined> {
  try {
    const { challenge } = await ask<{ challenge: string }>(port, "", "POST", "/v1/challenge", {});
    const nonce = base64(crypto.getRandomValues(new Uint8Array(32)));
    const page = statement("page", port, challenge);
    const signature = base64(new Uint8Array(await crypto.subtle.sign("Ed25519", pairing.key, page)));
    const session = { key: pairing.publicKey, challenge, signature, nonce };
    const r = await ask<{ token: string; proof: string }>(port, "", "POST", "/v1/session", session);
    const agentKey = await crypto.subtle.importKey("raw", bytes(pairing.agentKey), "Ed25519", false, ["verify"]);
    const ours = await crypto.subtle.verify("Ed25519", agentKey, bytes(r.proof), statement("agent", port, nonce));
    return ours ? r.token : undefined;
  } catch {
    return undefined;
  }
}

const statement = (who: string, port: number, nonce: string): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(
    ["isthmus agent 1", who, location.origin, port, nonce].join("\n"),
  ) as Uint8Array<ArrayBuffer>;

async function ask<T>(port: number, token: string, method: string, path: string, body?: unknown): Promise<T> {
  return (await (await answerOf(port, token, method, path, body)).json()) as T;
}

async function answerOf(
  port: number,
  token: string,
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  const headers: Record<string, string> = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  // Tells the browser beforehand that this goes to the same computer, so that it asks the person instead of refusing.
  const init: RequestInit & { targetAddressSpace: string } = {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
    referrerPolicy: "no-referrer",
    targetAddressSpace: "loopback",
    ...(signal && { signal }),
  };
  let r: Response;
  try {
    r = await fetch(`http://127.0.0.1:${port}${path}`, init);
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw (await permission()) === "denied" ? refusedByBrowser() : gone();
  }
  if (r.ok) return r;
  const problem = (await r.json().catch(() => ({}))) as ConstructorParameters<typeof Problem>[0];
  throw new Problem({ ...problem, status: r.status });
}

const gone = () =>
  new Problem({
    status: 0,
    code: "agent_gone",
    detail: "The agent on this computer does not answer.",
    next_step:
      "Start it with isthmusctl agent run or isthmusctl agent install. When the browser asks whether this page may talk to apps on this device, allow it.",
    retryable: true,
  });

const refusedByBrowser = () =>
  new Problem({
    status: 0,
    code: "agent_refused_by_browser",
    detail: "The browser does not let this page talk to programs on this computer.",
    next_step:
      "Allow “Apps on device” (or “Local network access”) in the site settings beside the address, then reload.",
    retryable: false,
  });

function base64(b: Uint8Array): string {
  return btoa(String.fromCharCode(...b))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function bytes(s: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(s.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}
