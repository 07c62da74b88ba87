// The agent on a person's computer, a real one, and pages in a real browser: the paired page sends through
// it, no other page gets a word out of it. What is tried here is the page's own module (web/src/transfer/agent.ts)
// under the content policy of a real server.
import { chromium, type Page } from "@playwright/test";
import { once } from "node:events";
import { createServer, type Server as HTTPServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { expect, person, signIn, test } from "./base.ts";
import { Desk } from "./desk.ts";
import { padded } from "./fixtures.ts";

interface State {
  hubs: string[];
  folders: { id: string; name: string }[];
  jobs: { id: string; transfer_id?: string; state: string; sent: number; size: number; files_done: number; error?: { message: string } }[];
}

/** The part of web/src/transfer/agent.ts that is used here. */
interface Agent {
  state(): Promise<State>;
  list(folder: string): Promise<{ entries: { name: string }[] }>;
  choose(folder: string, paths: string[]): Promise<{ id: string }[]>;
  login(): Promise<{ address: string }>;
  send(job: { hub: string; picks: string[]; policy: string; rate_bps: number }): Promise<unknown>;
  follow(heard: (state: State | null) => void): () => void;
}

declare global {
  interface Window {
    agent: Agent;
    agents: {
      findAgent(): Promise<Agent | null>;
      pair(code: string): Promise<Agent>;
      unpair(): Promise<void>;
      permission(): Promise<string>;
    };
  }
}

const rolldown = "../web/node_modules/rolldown/dist/index.mjs";
/** The module as a browser takes it, made once. */
let bundle: Promise<string> | undefined;
function moduleText(): Promise<string> {
  bundle ??= (async () => {
    const { build } = (await import(rolldown)) as { build(o: object): Promise<{ output: { code: string }[] }> };
    const made = await build({ input: resolve(import.meta.dirname, "../web/src/transfer/agent.ts"), write: false, logLevel: "silent" });
    return made.output[0]!.code;
  })();
  return bundle;
}

/** Puts the module on a page of a server, from the server's own origin, as the policy wants it. */
async function load(page: Page): Promise<void> {
  const text = await moduleText();
  await page.route("**/agent-under-test.js", (r) => r.fulfill({ contentType: "text/javascript", body: text }));
  await page.evaluate(async () => {
    const from = "/agent-under-test.js";
    window.agents = (await import(from)) as Window["agents"];
  });
}

/** What went wrong with a call, by its code. */
const problem = (page: Page, f: string): Promise<string> =>
  page.evaluate(async (f) => {
    try {
      await (new Function(`return (async () => ${f})()`)() as Promise<unknown>);
      return "";
    } catch (e) {
      return (e as { code: string }).code;
    }
  }, f);

/** Another user's program on the agent's port, which passes everything on and listens. */
async function impostor(port: number, real: () => number, heard: string[]): Promise<HTTPServer> {
  const s = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (c: Buffer) => chunks.push(c));
    req.on("end", async () => {
      if (req.headers.authorization) heard.push(req.headers.authorization);
      const headers: Record<string, string> = {};
      for (const name of ["origin", "authorization", "content-type"]) if (req.headers[name]) headers[name] = String(req.headers[name]);
      const body = Buffer.concat(chunks);
      const r = await fetch(`http://127.0.0.1:${real()}${req.url}`, { method: req.method!, headers, ...(body.length > 0 && { body }) });
      heard.push(`${req.method} ${req.url} ${r.status}`);
      res.writeHead(r.status, {
        "access-control-allow-origin": req.headers.origin ?? "*",
        "access-control-allow-headers": "authorization, content-type",
        "access-control-allow-methods": "GET, POST, DELETE",
        "content-type": r.headers.get("content-type") ?? "text/plain",
      });
      res.end(await r.text());
    });
  });
  s.listen(port, "127.0.0.1");
  await once(s, "listening");
  return s;
}

test("a paired page sends through the agent, which survives its own death", async ({ browser, server, files }) => {
  const base = server.demo.base_url;
  const desk = new Desk(base);
  const context = await browser.newContext({ baseURL: base });
  const page = await context.newPage();
  const toAgent: string[] = [];
  context.on("request", (r) => {
    if (/:2771\d\//.test(r.url())) toAgent.push(r.url());
  });
  const heard: string[] = [];
  let fake: HTTPServer | undefined;
  try {
    padded(files.small, join(desk.folder, "Großer Vortrag.mp4"), 24_000_000);
    let port = await desk.run();
    await signIn(page, server, person(server, "content_admin"));
    await load(page);
    expect(await page.evaluate(() => window.agents.findAgent()), "an agent of nobody").toBeNull();
    expect(toAgent, "a page that was not paired asks nobody").toEqual([]);

    const asked = await desk.code();
    const wrong = `${asked.code.slice(0, 2)}ZZZZ-ZZZZ`;
    expect(await problem(page, `window.agents.pair(${JSON.stringify(wrong)})`)).toBe("wrong_code");
    expect(await problem(page, `window.agents.pair("nonsense")`)).toBe("invalid_code");
    await page.evaluate(async (code) => {
      window.agent = await window.agents.pair(code);
    }, asked.code);
    expect(await asked.done, "isthmusctl agent pair").toBe(0);
    const state = await page.evaluate(() => window.agent.state());
    expect(state).toMatchObject({ hubs: [], jobs: [], folders: [{ name: "Footage" }] });
    const folder = state.folders[0]!.id;
    const seen = await page.evaluate((f) => window.agent.list(f), folder);
    expect(seen.entries.map((e) => e.name)).toEqual(["Großer Vortrag.mp4"]);
    expect(await problem(page, `window.agent.choosePaths(["/etc/passwd"])`)).toBe("outside");

    // The agent's own sign-in: the page hears of a code, never of a token.
    const hub = server.demo.hub_id;
    const login = await page.evaluate(() => window.agent.login());
    expect(new URL(login.address).origin).toBe(base);
    const device = await context.newPage();
    await device.goto(login.address);
    await device.getByRole("button", { name: "Continue" }).click();
    await device.locator(`input[name=hub][value=${hub}]`).check();
    await device.getByRole("button", { name: "Allow", exact: true }).click();
    await expect(device.getByText("Your device goes on by itself")).toBeVisible();
    await device.close();
    await expect.poll(() => page.evaluate(async () => (await window.agent.state()).hubs), { timeout: 15_000 }).toContain(hub);

    // The agent dies with the power in mid-file; meanwhile somebody else's program takes its port.
    await page.evaluate(
      async ([folder, hub]) => {
        const [pick] = await window.agent.choose(folder, ["Großer Vortrag.mp4"]);
        await window.agent.send({ hub, picks: [pick!.id], policy: "fixed", rate_bps: 100e6 });
      },
      [folder, hub] as const,
    );
    const job = async () => (await page.evaluate(() => window.agent.state())).jobs[0]!;
    await expect.poll(async () => (await job()).sent, { intervals: [100] }).toBeGreaterThan(2 << 20);
    const before = await job();
    expect(before).toMatchObject({ state: "sending", name: "Großer Vortrag.mp4", files: 1, hub, live: { path: "quic" } });
    await desk.kill();
    const taken = port;
    fake = await impostor(taken, () => port, heard);
    port = await desk.run();
    expect(port).not.toBe(taken);
    await page.reload();
    await load(page);
    await page.evaluate(async () => {
      window.agent = (await window.agents.findAgent())!;
    });
    await page.evaluate(
      () =>
        new Promise<void>((done, broken) => {
          const stop = window.agent.follow((s) => {
            const j = s?.jobs[0];
            if (j?.state === "failed") broken(new Error(j.error?.message ?? JSON.stringify(j)));
            if (j?.state !== "done") return;
            stop();
            done();
          });
        }),
    );
    const after = await job();
    expect(after).toMatchObject({ id: before.id, transfer_id: before.transfer_id, sent: before.size, files_done: 1 });
    expect(heard.filter((h) => h.startsWith("Bearer")), "the impostor heard a token").toEqual([]);
    expect(heard, "the impostor was tried, and let in nowhere").toContain("POST /v1/session 401");

    await page.evaluate(() => window.agents.unpair());
    expect(await page.evaluate(() => window.agents.findAgent())).toBeNull();
  } finally {
    fake?.closeAllConnections();
    fake?.close();
    await context.close();
    await desk.close();
  }
});

test("other pages get nothing out of the agent, and a page from the internet asks the person first", async ({ server }) => {
  const base = server.demo.base_url;
  const desk = new Desk(base);
  const elsewhere = createServer((_, res) => res.setHeader("content-type", "text/html").end("<title>elsewhere</title>"));
  elsewhere.listen(0, "127.0.0.1");
  await once(elsewhere, "listening");
  const origin = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  // To this browser the server's addresses are of the internet.
  const { port: ofServer } = new URL(base);
  const { args, executablePath } = test.info().project.use.launchOptions ?? {};
  const browser = await chromium.launch({
    ...(executablePath && { executablePath }),
    args: [...(args ?? []), `--ip-address-space-overrides=127.0.0.1:${ofServer}=public,[::1]:${ofServer}=public`],
  });
  try {
    const port = await desk.run();
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(origin);
    const tried = await page.evaluate(async (port) => {
      const at = `http://127.0.0.1:${port}`;
      const json = { "Content-Type": "application/json" };
      const outcome = async (f: () => Promise<Response>) => {
        try {
          const r = await f();
          return `${r.type} ${r.status} ${await r.text()}`;
        } catch {
          return "refused";
        }
      };
      return [
        await outcome(() => fetch(`${at}/v1/state`)),
        await outcome(() => fetch(`${at}/v1/challenge`, { method: "POST", headers: json, body: "{}" })),
        await outcome(() => fetch(`${at}/control/pair`, { method: "POST", headers: json, body: "{}" })),
        await outcome(() => fetch(`${at}/v1/pair`, { method: "POST", mode: "no-cors", body: "{}" })),
      ];
    }, port);
    expect(tried).toEqual(["refused", "refused", "refused", "refused"]);
    // A name of somebody else that leads to this computer.
    const bent = await context.newPage();
    const rebound = bent.waitForResponse(/rebound\.localhost/);
    await bent.goto(`http://rebound.localhost:${port}/v1/state`).catch(() => {}); // an error without a page
    expect((await rebound).status()).toBe(421);
    await bent.close();

    await page.goto(base);
    await load(page);
    const asked = await desk.code();
    const pair = `window.agents.pair(${JSON.stringify(asked.code)})`;
    expect(await page.evaluate(() => window.agents.permission())).toBe("prompt");
    expect(await problem(page, pair), "nobody is there to allow it").toBe("agent_refused_by_browser");
    await context.grantPermissions(["local-network-access"], { origin: base });
    expect(await problem(page, pair)).toBe("");
    expect(await asked.done).toBe(0);
  } finally {
    await browser.close();
    elsewhere.close();
    await desk.close();
  }
});
