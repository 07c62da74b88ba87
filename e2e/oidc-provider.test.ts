// A spaces platform's identity provider that is not ours: the certified npm package oidc-provider. An operator
// connects it by its issuer; its people sign in and are not asked twice, their roles follow, their tokens are
// exchanged, they leave, and the provider changes its keys and ends their sessions.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import type { BrowserContext, Page } from "@playwright/test";
import { accessible, everywhere, expect, fits, person, signIn, test as base } from "./base.ts";
import { freePort, Server } from "./server.ts";

const test = base;
const secret = "secret-of-isthmus-at-the-provider";
const audience = "https://media.example/";
const app = "/app/callback";

interface Account {
  email: string;
  email_verified: boolean;
  name: string;
  spaces: { id: string; title?: string; tier?: string; roles?: string[] }[];
}

function key(kid: string): object {
  return { ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" };
}

function rsa(kid: string): object {
  return { ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" };
}

/** The provider as a process of its own. */
class Idp {
  issuer = "";
  private child?: ChildProcess;
  private heard?: (said: Record<string, unknown>) => void;
  private accounts: Record<string, Account> = {};
  constructor(
    private readonly port: number,
    private readonly ours: string,
  ) {}

  async start(...keys: object[]): Promise<void> {
    const options = { port: this.port, keys, callback: `${this.ours}/auth/callback`, logout: `${this.ours}/auth/backchannel-logout`, audience };
    const child = spawn(process.execPath, [resolve(import.meta.dirname, "oidc-provider.mjs"), JSON.stringify(options)], { stdio: ["pipe", "pipe", "pipe"] });
    this.child = child;
    let trouble = "";
    child.stderr!.on("data", (b: Buffer) => {
      trouble += b.toString();
    });
    createInterface({ input: child.stdout! }).on("line", (l) => {
      if (l.startsWith("{")) this.heard?.(JSON.parse(l) as Record<string, unknown>); // else a notice of the package
    });
    const said = await Promise.race([this.line(), new Promise<never>((_, bad) => child.once("exit", () => bad(new Error(trouble))))]);
    this.issuer = String(said.issuer);
    await this.know(this.accounts);
  }

  private line(): Promise<Record<string, unknown>> {
    return new Promise((good) => {
      this.heard = good;
    });
  }

  async know(accounts: Record<string, Account>): Promise<void> {
    this.accounts = accounts;
    const heard = this.line();
    this.child!.stdin!.write(`${JSON.stringify(accounts)}\n`);
    await heard;
  }

  async stop(): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill();
    await ended;
  }
}

/** Answers the provider's pages, however many it shows. */
async function atProvider(page: Page, idp: Idp, who: string): Promise<number> {
  let asked = 0;
  while (page.url().startsWith(idp.issuer) && !page.url().includes(app)) {
    const before = page.url();
    if (await page.locator("input[name=login]").count()) {
      await page.locator("input[name=login]").fill(who);
      await page.locator("input[name=password]").fill("any");
    }
    await page.locator("button[type=submit], input[type=submit]").first().click();
    asked++;
    await page.waitForURL((u) => u.href !== before);
  }
  return asked;
}

interface Me {
  name: string;
  email: string;
  hubs: { id: string; name: string; role: string; plan: string }[];
}

async function me(page: Page): Promise<Me> {
  const r = await page.request.get("/v1/me");
  expect(r.status(), await r.text()).toBe(200);
  return (await r.json()) as Me;
}

async function post<T>(page: Page, path: string, data: object, status = 200): Promise<T> {
  const r = await page.request.post(path, { data });
  expect(r.status(), `${path}: ${await r.text()}`).toBe(status);
  return (await r.json()) as T;
}

/** The platform's own app gets tokens of a person who is signed in at the provider. */
async function platformTokens(context: BrowserContext, idp: Idp, who: string): Promise<{ id_token: string; access_token: string }> {
  const page = await context.newPage();
  const verifier = randomBytes(32).toString("base64url");
  const q = new URLSearchParams({
    client_id: "platform-app", response_type: "code", scope: "openid email profile spaces", redirect_uri: idp.issuer + app, state: "s", nonce: "n", resource: audience,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
  });
  await page.goto(`${idp.issuer}/auth?${q}`);
  await atProvider(page, idp, who);
  const code = new URL(page.url()).searchParams.get("code");
  expect(code, page.url()).toBeTruthy();
  await page.close();
  const r = await fetch(`${idp.issuer}/token`, {
    method: "POST",
    headers: { Authorization: `Basic ${Buffer.from("platform-app:secret-of-the-platforms-own-app").toString("base64")}` },
    body: new URLSearchParams({ grant_type: "authorization_code", code: code!, redirect_uri: idp.issuer + app, code_verifier: verifier, resource: audience }),
  });
  expect(r.status, await r.clone().text()).toBe(200);
  return (await r.json()) as { id_token: string; access_token: string };
}

test("people of a certified identity provider: sign-in, roles, token exchange, leaving, key rotation, log-out", async ({ browser }) => {
  const server = await Server.start("--allow-networks", "127.0.0.0/8", "--no-demo-media");
  const ours = server.demo.base_url;
  const idp = new Idp(await freePort(), ours);
  const noa: Account = {
    email: "noa@spaces.example", email_verified: true, name: "Noa Newcomer",
    spaces: [{ id: "lab", title: "The Lab", tier: "gold", roles: ["viewer", "owner"] }],
  };
  const [first, second] = [rsa("first"), key("second")];
  try {
    await idp.start(first);
    await idp.know({ noa });

    // An operator connects it by its issuer, and sees step by step whether it works.
    const operators = await browser.newContext({ baseURL: ours });
    const desk = await operators.newPage();
    await signIn(desk, server, person(server, "admin"));
    await desk.goto("/operator");
    await desk.getByRole("navigation", { name: "Operator" }).getByRole("link", { name: "Identity providers" }).press("Enter");
    await expect(desk.getByRole("heading", { level: 1, name: "Identity providers" })).toBeVisible();
    await expect(desk.locator('[data-provider="idp_demo"]')).toContainText("cannot be changed here");
    await desk.getByRole("button", { name: "Add an identity provider" }).press("Enter");
    await desk.getByLabel("Issuer").fill("id.spaces.example");
    await desk.getByLabel("Name", { exact: true }).fill("Certified Spaces");
    await desk.getByLabel("Client id").fill("isthmus");
    await desk.getByLabel("Client secret").fill(secret);
    await desk.getByLabel("E-mail domains").fill("spaces.example");
    await desk.getByText("Tokens and scopes").press("Enter");
    await desk.getByLabel("Audiences").fill(`platform-app\n${audience}`);
    await desk.getByRole("button", { name: "Add and check" }).press("Enter");
    await expect(desk.getByRole("alert")).toContainText("not the https address");
    await expect(desk.getByLabel("Issuer")).toHaveAttribute("aria-invalid", "true");
    await everywhere(desk, "adding an identity provider", "provider-add");
    await desk.getByLabel("Issuer").fill(idp.issuer);
    await desk.getByRole("button", { name: "Add and check" }).press("Enter");
    const card = desk.getByRole("listitem").filter({ has: desk.getByRole("heading", { name: "Certified Spaces" }) });
    await expect(card.getByRole("heading", { name: "Certified Spaces" })).toBeFocused();
    await expect(card.getByText("answers as it should")).toBeVisible();
    await expect(card.locator('[data-check="client"]'), "our client id and secret are right").toHaveAttribute("data-state", "passed");
    await expect(card.locator('[data-check="hubs"]'), "it sends no claim of this name").toHaveAttribute("data-state", "warned");
    expect(await desk.content()).not.toContain(secret);

    // Where hubs, roles and plans are in its claims, tried before it is saved.
    await card.getByRole("button", { name: "Claims of Certified Spaces" }).press("Enter");
    for (const [label, path] of [["List of hubs", "spaces"], ["Hub: name", "title"], ["Hub: role", "roles"], ["Hub: plan", "tier"]] as const) {
      await card.getByLabel(label, { exact: true }).fill(path);
    }
    for (const [what, row, theirs, ours] of [["role", 1, "owner", "admin"], ["role", 2, "editor", "content_admin"], ["plan", 1, "gold", "enterprise"]] as const) {
      await card.getByRole("button", { name: `Add a ${what}`, exact: true }).press("Enter");
      await expect(card.getByLabel(`Their ${what} ${row}`)).toBeFocused();
      await desk.keyboard.type(theirs);
      await card.getByLabel(`Our ${what} for ${theirs}`).selectOption(ours);
    }
    await card.getByLabel("Try with these claims").fill("eyJhbGciOi");
    await card.getByRole("button", { name: "Try", exact: true }).press("Enter");
    await expect(card.getByRole("alert")).toContainText("not a JSON object");
    await card.getByLabel("Try with these claims").fill(JSON.stringify({ sub: "noa", ...noa }));
    await card.getByRole("button", { name: "Try", exact: true }).press("Enter");
    await expect(card.getByTestId("tried").getByRole("row").last()).toHaveText(/The Lab lab\s*Admin\s*Enterprise/);
    await everywhere(desk, "the claims of an identity provider", "provider-claims");
    await card.getByRole("button", { name: "Save the claims" }).press("Enter");
    await expect(card).toContainText(/Hubs come from\s*spaces/);

    // The secret of its webhooks is shown once.
    await card.getByRole("button", { name: "Webhook secret of Certified Spaces" }).press("Enter");
    await desk.getByRole("dialog").getByRole("button", { name: "Make the secret" }).press("Enter");
    await expect(card.getByTestId("webhook-secret-value")).toHaveText(/^whsec_/);
    const shown = (await card.getByTestId("webhook-secret-value").textContent())!;
    await desk.reload();
    await expect(card).toContainText("Taken when signed");
    expect(await desk.content()).not.toContain(shown);
    await card.getByRole("button", { name: "Check Certified Spaces" }).press("Enter");
    await expect(card.locator('[data-check="client"]')).toHaveAttribute("data-state", "passed");
    await everywhere(desk, "identity providers", "providers");

    // Several providers: people choose, by keyboard, at 320 px and in the dark; the last one is remembered.
    const context = await browser.newContext({ baseURL: ours });
    const page = await context.newPage();
    await page.goto("/sign-in");
    const choice = page.getByRole("navigation", { name: "Where to sign in" });
    await expect(choice.getByRole("link")).toHaveCount(2);
    await accessible(page, "choosing where to sign in");
    await page.screenshot({ path: test.info().outputPath("choose.png"), fullPage: true });
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 320, height: 640 });
    await fits(page, "choosing where to sign in");
    await accessible(page, "choosing where to sign in, dark, at 320 px");
    await page.screenshot({ path: test.info().outputPath("choose-320.png"), fullPage: true });
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 860 });
    await choice.getByRole("link", { name: "Certified Spaces" }).press("Enter");
    await page.waitForURL(`${idp.issuer}/**`);
    await atProvider(page, idp, "noa");
    await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
    const noaMe = await me(page);
    expect(noaMe).toMatchObject({ name: "Noa Newcomer", email: "noa@spaces.example", hubs: [{ name: "The Lab", role: "admin", plan: "enterprise" }] });
    const hub = noaMe.hubs[0]!.id;

    // Whoever comes from the platform is not asked again: no page of the provider, no page of ours.
    await page.request.post("/auth/logout");
    const pages: string[] = [];
    page.on("framenavigated", (f) => pages.push(f.url()));
    await page.goto(`/hubs/${hub}/settings/people?iss=${encodeURIComponent(idp.issuer)}`);
    await expect(page.getByRole("heading", { level: 1, name: "People" })).toBeVisible();
    expect(pages.filter((u) => u.startsWith(idp.issuer)), "pages of the provider").toEqual([]);
    await page.screenshot({ path: test.info().outputPath("people.png"), fullPage: true });
    await accessible(page, "people of the hub");
    await page.request.post("/auth/logout");
    await page.goto(`/sign-in`);
    await expect(page.getByRole("link", { name: /Certified Spaces/ })).toContainText("used last");

    // A role that changes there changes here at the next sign-in. OpenID's own third-party login; a foreign target is not followed.
    noa.spaces[0]!.roles = ["editor"];
    await idp.know({ noa });
    await page.goto(`/auth/login?${new URLSearchParams({ iss: idp.issuer, login_hint: "noa", target_link_uri: "https://evil.example/x" })}`);
    await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
    expect(new URL(page.url()).origin).toBe(ours);
    expect((await me(page)).hubs).toMatchObject([{ id: hub, role: "content_admin" }]);

    // The platform exchanges its person's tokens for ours. Its app is registered in the hub, by the hub's admin.
    noa.spaces[0]!.roles = ["owner"];
    await idp.know({ noa });
    await page.goto(`/auth/login?${new URLSearchParams({ iss: idp.issuer })}`);
    await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
    const client = await post<{ secret?: string; client_secret?: string; client?: { id: string }; id?: string; client_id?: string }>(
      page, `/v1/hubs/${hub}/clients`, { name: "Platform", type: "machine", scopes: ["library:read", "members:admin"] }, 201);
    const clientID = client.client?.id ?? client.client_id ?? client.id!;
    const clientSecret = client.client_secret ?? client.secret!;
    const ask = async (fields: Record<string, string>) => {
      const r = await fetch(`${ours}/oauth2/token`, {
        method: "POST", headers: { Authorization: `Basic ${Buffer.from(`${clientID}:${clientSecret}`).toString("base64")}` }, body: new URLSearchParams(fields),
      });
      return { status: r.status, body: (await r.json()) as { access_token?: string; error?: string; error_description?: string } };
    };
    const exchange = (token: string, kind: "id_token" | "access_token") =>
      ask({
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", subject_token: token, scope: "library:read",
        subject_token_type: `urn:ietf:params:oauth:token-type:${kind}`,
      });
    const library = async (token: string) => (await fetch(`${ours}/v1/hubs/${hub}/library`, { headers: { Authorization: `Bearer ${token}` } })).status;
    const tokens = await platformTokens(context, idp, "noa");
    const byID = await exchange(tokens.id_token, "id_token");
    expect(byID.status, JSON.stringify(byID.body)).toBe(200);
    expect(await library(byID.body.access_token!)).toBe(200);
    const byAccess = await exchange(tokens.access_token, "access_token");
    expect(byAccess.status, JSON.stringify(byAccess.body)).toBe(200);
    expect(await library(byAccess.body.access_token!)).toBe(200);
    for (const [token, kind] of [
      [tokens.id_token, "access_token"],
      [tokens.access_token, "id_token"],
      [`${tokens.id_token.slice(0, -6)}AAAAAA`, "id_token"],
      [`${Buffer.from('{"alg":"none"}').toString("base64url")}.${tokens.id_token.split(".")[1]}.`, "id_token"],
    ] as const) {
      expect((await exchange(token, kind)).status, "a token that is not what it is said to be").toBe(400);
    }

    // The provider changes its keys, as it does in operation: new ones sign, the old ones stay published for a while.
    await idp.stop();
    await idp.start(second, first);
    await page.goto(`/auth/login?${new URLSearchParams({ iss: idp.issuer })}`);
    await atProvider(page, idp, "noa");
    await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
    expect((await exchange(tokens.id_token, "id_token")).status, "signed with the old key, which is still published").toBe(200);
    await expect
      .poll(async () => (await exchange((await platformTokens(context, idp, "noa")).id_token, "id_token")).status, { message: "signed with the new key" })
      .toBe(200);

    // She leaves: told by the platform's API call. At once no token and no page works; what a newer token says brings her back.
    const machine = (await ask({ grant_type: "client_credentials", scope: "members:admin" })).body.access_token!;
    const told = (path: string, body: object) =>
      fetch(`${ours}/v1/hubs/${hub}/members/${path}`, {
        method: "POST", headers: { Authorization: `Bearer ${machine}`, "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
    expect((await told("suspend", { subject: "noa", reason: "left" })).status).toBe(200);
    expect([401, 404]).toContain(await library(byID.body.access_token!));
    expect((await page.request.get("/v1/me")).status()).toBe(401);
    const old = await exchange(tokens.id_token, "id_token");
    expect(old.status, "a token from before she left").toBe(400);
    await page.waitForTimeout(1100); // tokens tell their time in whole seconds
    await page.goto(`/auth/login?${new URLSearchParams({ iss: idp.issuer })}`);
    await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
    // Suspended by intent: nothing but reinstating helps.
    expect((await told("suspend", { subject: "noa" })).status).toBe(200);
    await page.waitForTimeout(1100);
    await page.goto(`/auth/login?${new URLSearchParams({ iss: idp.issuer })}`);
    await expect(page.getByRole("heading", { name: "You are in no hub yet" })).toBeVisible();
    expect((await told("reinstate", { subject: "noa" })).status).toBe(200);
    expect((await me(page)).hubs).toMatchObject([{ id: hub, role: "admin" }]);

    // Switched off, it signs out whoever came through it, and only them; switched on, they come back.
    await card.getByRole("button", { name: "Switch off Certified Spaces" }).press("Enter");
    await expect(desk.getByRole("dialog")).toContainText("is signed out at once");
    await accessible(desk, "the question before an identity provider is switched off");
    await desk.getByRole("dialog").getByRole("button", { name: "Switch off" }).press("Enter");
    await expect(card.getByText("Switched off", { exact: true })).toBeVisible();
    expect((await page.request.get("/v1/me")).status(), "signed out").toBe(401);
    expect((await exchange(tokens.id_token, "id_token")).status).toBe(400);
    expect((await desk.request.get("/v1/me")).status()).toBe(200);
    await card.getByRole("button", { name: "Switch on Certified Spaces" }).press("Enter");
    await expect(card.getByText("Enabled", { exact: true })).toBeVisible();
    await page.goto(`/auth/login?${new URLSearchParams({ iss: idp.issuer })}`);
    await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();

    // She signs out at the provider, which tells us by its back channel.
    const out = await context.newPage();
    await out.goto(`${idp.issuer}/session/end`);
    await out.locator("button[type=submit], input[type=submit]").first().click();
    await expect.poll(async () => (await page.request.get("/v1/me")).status(), { message: "signed out by back-channel log-out" }).toBe(401);
    await out.close();

    // Her data: what happens is said first, it has to be typed, and a later sign-in begins anew.
    await page.goto(`/auth/login?${new URLSearchParams({ iss: idp.issuer, next: "/account/data" })}`);
    await atProvider(page, idp, "noa");
    await expect(page.getByRole("heading", { level: 1, name: "Your data" })).toBeVisible();
    const exported = await page.request.get("/v1/me/export");
    expect(exported.headers()["content-disposition"]).toContain("attachment");
    expect(await exported.json()).toMatchObject({ format: "isthmus-person-1", hubs: [{ hub_id: hub, profile: { email: "noa@spaces.example" } }] });
    await page.getByRole("button", { name: "Erase my data" }).press("Enter");
    const dialog = page.getByRole("dialog");
    await expect(dialog).toContainText("Media in Kaltura");
    await accessible(page, "erasing one's data");
    await page.screenshot({ path: test.info().outputPath("erase.png"), fullPage: true });
    await page.setViewportSize({ width: 320, height: 640 });
    await fits(page, "erasing one's data");
    await page.screenshot({ path: test.info().outputPath("erase-320.png") });
    await page.setViewportSize({ width: 1280, height: 860 });
    await expect(dialog.getByRole("button", { name: "Erase for good" })).toBeDisabled();
    await dialog.getByLabel(/Type noa@spaces.example/).fill("noa@spaces.example");
    await dialog.getByRole("button", { name: "Erase for good" }).click();
    await expect(page.getByText("Your data are being erased")).toBeVisible();
    expect((await page.request.get("/v1/me")).status()).toBe(401);
  } finally {
    await idp.stop();
    await server.stop();
  }
});
