// The fifteen-minute path of a partner's engineer, from the documentation alone: the guides' commands
// as they stand there, the example site as it stands in the repository, and the client library as it
// would be published. Only the environment is given.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { accessible, expect, fits, person, test } from "./base.ts";
import { callAPI, idToken, register } from "./host.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

/** Code blocks of a guide in one language. */
function blocks(guide: string, language: string): string[] {
  const text = readFileSync(join(root, "docs", guide), "utf8");
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter((m) => m[1] === language).map((m) => m[2]!);
}

async function freePort(): Promise<number> {
  const s = createServer().listen(0, "127.0.0.1");
  await once(s, "listening");
  const { port } = s.address() as { port: number };
  s.close();
  await once(s, "close");
  return port;
}

test("the fifteen-minute path: from curl to a picker that inserts", async ({ browser, server }) => {
  const dir = mkdtempSync(join(tmpdir(), "isthmus-partner-"));
  // Packages that a partner would have installed with npm.
  symlinkSync(join(import.meta.dirname, "node_modules"), join(dir, "node_modules"));
  const started: ChildProcess[] = [];
  const said: string[] = [];
  const node = (file: string, env: Record<string, string>) => {
    const child = spawn(process.execPath, [file], { cwd: dir, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
    createInterface({ input: child.stdout }).on("line", (line) => said.push(line));
    started.push(child);
  };
  try {
    const { demo } = server;
    await expect
      .poll(async () => (await callAPI<{ items: unknown[] }>(demo, "GET", `/v1/hubs/${demo.hub_id}/media?status=ready&type=video`)).items.length, { timeout: 150_000 })
      .toBeGreaterThan(0);
    const sitePort = await freePort();
    const site = `http://localhost:${sitePort}`;
    const app = await register(demo, [site], ["media:read", "media:import", "library:read", "webhooks:admin"]);
    const env = {
      ISTHMUS_URL: demo.base_url,
      CLIENT_ID: app.id,
      CLIENT_SECRET: app.secret,
      ID_TOKEN: await idToken(demo, person(server, "participant")),
    };

    const receiverPort = await freePort();
    const receiver = blocks("webhooks.md", "js").find((b) => b.startsWith("// receiver.mjs"))!;
    writeFileSync(join(dir, "receiver.mjs"), receiver);
    node("receiver.mjs", { PORT: String(receiverPort) });

    await test.step("the quickstart's commands, as written", async () => {
      const script = `set -euo pipefail\n${blocks("quickstart.md", "bash").join("\n")}\necho "ITEM=$ITEM"`;
      const { stdout } = await run("bash", ["-c", script], {
        cwd: dir,
        env: { PATH: process.env.PATH, RECEIVER_URL: `http://127.0.0.1:${receiverPort}/`, ...env },
      });
      expect(stdout).toContain(`This client acts in ${demo.hub_id}`);
      expect(stdout).toContain(person(server, "participant").email);
      expect(stdout).toMatch(/video {2}\w/);
      expect(stdout).toContain('"projection"');
      expect(stdout).toMatch(/ITEM=\w+/);
      expect(stdout).not.toContain(app.secret);
    });

    await test.step("a signed webhook arrives, and only a signed one", async () => {
      await expect.poll(() => said.join("\n"), { timeout: 30_000 }).toContain("verified import.ready");
      const body = '{"type":"import.ready"}';
      const at = new Date();
      const forged = new Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign("msg_1", at, body);
      const r = await fetch(`http://127.0.0.1:${receiverPort}/`, {
        method: "POST",
        body,
        headers: { "webhook-id": "msg_1", "webhook-timestamp": String(Math.floor(at.getTime() / 1000)), "webhook-signature": forged },
      });
      expect(r.status).toBe(401);
    });

    await test.step("a webhook verified by hand, as the guide says", async () => {
      const { stdout } = await run("bash", ["-c", `set -euo pipefail\n${blocks("webhooks.md", "bash").join("\n")}`], { cwd: dir });
      expect(readFileSync(join(root, "docs/webhooks.md"), "utf8")).toContain(`It prints \`${stdout.trim()}\``);
    });

    await test.step("the example site inserts what a person chose", async () => {
      node(join(root, "web/examples/server.mjs"), { ...env, PORT: String(sitePort) });
      const context = await browser.newContext();
      const page = await context.newPage();
      await expect.poll(() => page.goto(site).then((r) => r?.status(), () => 0)).toBe(200);
      await page.getByRole("button", { name: "Insert media" }).click();
      const frame = page.frameLocator("iframe");
      // The person that the token is of, in the hub that the curl commands imported into.
      await frame.getByRole("checkbox", { name: /^Select / }).first().check();
      await frame.getByRole("button", { name: "Insert" }).click();
      await expect(page.locator("output")).toContainText(`/v1/hubs/${demo.hub_id}/library/`);
      await context.close();
    });
  } finally {
    for (const child of started) child.kill();
    rmSync(dir, { recursive: true, force: true });
  }
});

test("the TypeScript client, packed, installed and used", async ({ server }) => {
  const { demo } = server;
  const dir = mkdtempSync(join(tmpdir(), "isthmus-client-"));
  const bins = `${join(root, "web/node_modules/.bin")}:${process.env.PATH}`;
  try {
    const source = join(root, "openapi/clients/typescript");
    const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: source, env: { ...process.env, PATH: bins } });
    const packed = stdout.trim().split("\n").at(-1)!;
    writeFileSync(join(dir, "package.json"), JSON.stringify({ type: "module", private: true }));
    await run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", `./${packed}`], { cwd: dir });
    const script = `
import { all, clientCredentials, isthmus, IsthmusError, unwrap } from "isthmus-client";
import type { PickedItem } from "isthmus-client/picker";
const [baseUrl = "", clientId = "", clientSecret = "", hub = ""] = process.argv.slice(2);
const client = isthmus({ baseUrl, token: clientCredentials({ baseUrl, clientId, clientSecret, scope: ["media:read"] }) });
const names: string[] = [];
for await (const m of all((cursor) => unwrap(client.GET("/v1/hubs/{hub}/media", { params: { path: { hub }, query: { cursor, limit: 2 } } })))) names.push(m.name);
const picked = (i: PickedItem): string => i.name;
try {
  await unwrap(client.GET("/v1/hubs/{hub}/webhooks", { params: { path: { hub } } }));
} catch (e) {
  if (!(e instanceof IsthmusError)) throw e;
  console.log(JSON.stringify({ names, code: e.code, next: e.nextStep, picked: typeof picked }));
}
`;
    writeFileSync(join(dir, "use.ts"), script);
    const options = ["--module", "NodeNext", "--target", "ES2022", "--strict", "--skipLibCheck", "--types", "node", "--typeRoots", join(import.meta.dirname, "node_modules/@types")];
    await run(join(root, "web/node_modules/.bin/tsc"), [...options, "use.ts"], { cwd: dir });
    const used = await run(process.execPath, ["use.js", demo.base_url, demo.client_id, demo.client_secret, demo.hub_id], { cwd: dir });
    const out = JSON.parse(used.stdout) as { names: string[]; code: string; next: string };
    expect(out.names).toContain("Harbour at noon");
    expect(new Set(out.names).size).toBe(out.names.length);
    expect(out.code).toBe("missing_scope");
    expect(out.next).toContain("webhooks:admin");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("the documentation reads well, without a script and without asking others", async ({ browser, server }) => {
  const { demo } = server;
  const context = await browser.newContext({ javaScriptEnabled: false, baseURL: demo.base_url });
  const asked: string[] = [];
  context.on("request", (r) => asked.push(r.url()));
  const page = await context.newPage();
  await page.goto("/docs");
  await page.getByRole("navigation").getByRole("link", { name: "Quickstart" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Quickstart");
  await expect(page.getByRole("main")).toContainText(`export ISTHMUS_URL=${demo.base_url}`);
  await page.getByRole("navigation").getByRole("link", { name: "API reference" }).click();
  await page.getByRole("link", { name: /GET \/v1\/hubs\/\{hub\}\/media Browse/ }).or(page.getByRole("link", { name: "GET /v1/hubs/{hub}/media", exact: true })).first().click();
  await expect(page.locator("#listMedia")).toBeVisible();
  await context.close();
  expect(asked.every((u) => u.startsWith(demo.base_url))).toBe(true);

  const scripted = await browser.newContext({ baseURL: demo.base_url });
  const looked = await scripted.newPage();
  // Each kind of page once, in one of both colours.
  for (const [path, scheme] of [
    ["/docs/quickstart", "dark"],
    ["/docs/picker", "light"],
    ["/docs/events", "light"],
    ["/docs/api/media", "dark"],
  ] as const) {
    await looked.emulateMedia({ colorScheme: scheme });
    await looked.goto(path);
    await accessible(looked, `${path} (${scheme})`);
    await looked.setViewportSize({ width: 320, height: 640 });
    await fits(looked, path);
    await looked.setViewportSize({ width: 1280, height: 860 });
  }
  const spec = await scripted.request.get("/openapi.json");
  expect((await spec.json()).openapi).toBe("3.1.0");
  await scripted.close();
});
