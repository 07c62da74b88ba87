// The certified client library openid-client against a real process: discovery, the code flow with PKCE
// through the consent page in Chromium, refresh, introspection, revocation, client credentials with a
// secret and with private_key_jwt, and the device flow. What the library does not accept fails here.
import * as oidc from "openid-client";
import type { Page } from "@playwright/test";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { accessible, expect, fits, person, picture, test } from "./base.ts";
import type { Person, Server } from "./server.ts";

interface App {
  id: string;
  secret?: string;
}

/** Registers an app as an admin of the hub would. */
async function register(page: Page, server: Server, input: object): Promise<App> {
  const r = await page.request.post(`${server.demo.base_url}/v1/hubs/${server.demo.hub_id}/clients`, { data: input });
  expect(r.status(), await r.text()).toBe(201);
  const made = (await r.json()) as { client: { id: string }; secret?: string };
  return { id: made.client.id, secret: made.secret };
}

/** What a library knows of the server after discovery. The demo has no https. */
function discover(server: Server, app: App, auth: oidc.ClientAuth): Promise<oidc.Configuration> {
  return oidc.discovery(new URL(server.demo.base_url), app.id, undefined, auth, { algorithm: "oauth2", execute: [oidc.allowInsecureRequests] });
}

/** The app's own server: it waits for one answer at its redirect URI. */
async function listener(): Promise<{ uri: string; answer: Promise<URL>; close: () => void }> {
  let got: (u: URL) => void;
  const answer = new Promise<URL>((good) => {
    got = good;
  });
  const s = createServer((req, res) => {
    const url = new URL(req.url!, uri);
    res.setHeader("Content-Type", "text/html").end("<!doctype html><title>App</title><h1>Back at the app</h1>");
    if (url.pathname === "/callback") got(url);
  });
  await new Promise<void>((good) => s.listen(0, "127.0.0.1", good));
  const uri = `http://127.0.0.1:${(s.address() as AddressInfo).port}/callback`;
  return { uri, answer, close: () => s.close() };
}

async function signInHere(page: Page, who: Person): Promise<void> {
  await page.getByRole("main").getByRole("link", { name: "Sign in" }).click();
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: /sign in/i }).click();
}

async function me(server: Server, token: string): Promise<{ status: number; email?: string; scopes?: string[] }> {
  const r = await fetch(`${server.demo.base_url}/v1/me`, { headers: { Authorization: `Bearer ${token}` } });
  return { status: r.status, ...((await r.json()) as object) };
}

test("an app signs a person in, acts for them, and loses its access when they say so", async ({ page, server }) => {
  const admin = person(server, "admin");
  const { base_url: base } = server.demo;
  await page.goto(base);
  await signInHere(page, admin);
  await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
  const back = await listener();
  const app = await register(page, server, { name: "Course rooms", type: "web", redirect_uris: [back.uri], scopes: ["library:read", "media:read"] });
  await page.context().clearCookies(); // the person comes from the app and is not signed in

  const config = await discover(server, app, oidc.ClientSecretBasic(app.secret!));
  expect(config.serverMetadata().issuer).toBe(base);
  expect(config.serverMetadata().supportsPKCE()).toBe(true);
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  const ask = async (extra: Record<string, string> = {}) =>
    oidc.buildAuthorizationUrl(config, {
      redirect_uri: back.uri,
      scope: "library:read",
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: "S256",
      state: expectedState,
      ...extra,
    });

  await page.goto((await ask()).href);
  await signInHere(page, admin);
  await expect(page.getByRole("heading", { name: "Course rooms wants to act for you" })).toBeVisible();
  await expect(page.getByText("See and play the media library")).toBeVisible();
  await accessible(page, "the consent page");
  for (const scheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await accessible(page, `the consent page, ${scheme}`);
  }
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, "the consent page");
  await page.setViewportSize({ width: 1280, height: 860 });
  await picture(page, "consent");
  await page.getByRole("button", { name: "Allow", exact: true }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Back at the app" })).toBeVisible();
  const tokens = await oidc.authorizationCodeGrant(config, await back.answer, { pkceCodeVerifier, expectedState });
  expect(tokens.scope).toBe("library:read");
  expect(tokens.expires_in).toBe(600);
  expect(await me(server, tokens.access_token)).toMatchObject({ status: 200, email: admin.email, scopes: ["library:read"] });

  // The code again: the library tells the server's error, and what it gave is gone.
  await expect(oidc.authorizationCodeGrant(config, await back.answer, { pkceCodeVerifier, expectedState })).rejects.toMatchObject({ error: "invalid_grant" });
  expect((await me(server, tokens.access_token)).status).toBe(401);

  // Asked for nothing new, the person is not asked again.
  await page.goto((await ask()).href);
  await expect(page.getByRole("heading", { name: "Back at the app" })).toBeVisible();
  const second = await oidc.authorizationCodeGrant(config, new URL(page.url()), { pkceCodeVerifier, expectedState });
  const refreshed = await oidc.refreshTokenGrant(config, second.refresh_token!);
  expect(refreshed.refresh_token).not.toBe(second.refresh_token);
  expect(await oidc.tokenIntrospection(config, refreshed.access_token)).toMatchObject({ active: true, client_id: app.id, scope: "library:read" });
  await oidc.tokenRevocation(config, refreshed.access_token);
  expect(await oidc.tokenIntrospection(config, refreshed.access_token)).toMatchObject({ active: false });
  const third = await oidc.refreshTokenGrant(config, refreshed.refresh_token!);
  expect((await me(server, third.access_token)).status).toBe(200);

  // Denied, the app hears why.
  await page.goto((await ask({ prompt: "consent" })).href);
  await page.getByRole("button", { name: "Do not allow" }).click();
  await expect(page.getByRole("heading", { name: "Back at the app" })).toBeVisible();
  await expect(oidc.authorizationCodeGrant(config, new URL(page.url()), { pkceCodeVerifier, expectedState })).rejects.toMatchObject({ error: "access_denied" });

  // The person takes the access back.
  await page.goto(`${base}/account/integrations`);
  const apps = page.getByRole("region", { name: "Apps with access" });
  await expect(apps.getByRole("heading", { name: "Course rooms" })).toBeVisible();
  await accessible(page, "the account page");
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, "the account page");
  await page.setViewportSize({ width: 1280, height: 860 });
  await picture(page, "account-apps");
  await apps.getByRole("button", { name: "Take access from Course rooms" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Take access back" }).click();
  await expect(apps.getByText("No app has access.")).toBeVisible();
  expect((await me(server, third.access_token)).status).toBe(401);
  await expect(oidc.refreshTokenGrant(config, third.refresh_token!)).rejects.toMatchObject({ error: "invalid_grant" });
  back.close();
});

test("a machine proves itself with a key, a device through its person's browser", async ({ page, server }) => {
  const admin = person(server, "admin");
  const { base_url: base } = server.demo;
  await page.goto(base);
  await signInHere(page, admin);
  await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();

  const pair = (await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"])) as CryptoKeyPair;
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const robot = await register(page, server, { name: "Catalogue", type: "machine", scopes: ["library:read"], jwks: { keys: [{ kty, crv, x, y, kid: "r1", alg: "ES256", use: "sig" }] } });
  expect(robot.secret).toBeUndefined();
  const config = await discover(server, robot, oidc.PrivateKeyJwt({ key: pair.privateKey, kid: "r1" }));
  const tokens = await oidc.clientCredentialsGrant(config, { scope: "library:read" });
  expect(await me(server, tokens.access_token)).toMatchObject({ status: 200, kind: "client", client_id: robot.id });
  expect(await oidc.tokenIntrospection(config, tokens.access_token)).toMatchObject({ active: true, sub: robot.id });
  await expect(oidc.clientCredentialsGrant(config, { scope: "hub:admin" })).rejects.toMatchObject({ error: "invalid_scope" });
  const { client_id, client_secret } = server.demo;
  const secret = await discover(server, { id: client_id }, oidc.ClientSecretPost(client_secret));
  expect((await me(server, (await oidc.clientCredentialsGrant(secret)).access_token)).status).toBe(200);

  const cli = await register(page, server, { name: "Command line", type: "native", redirect_uris: ["http://127.0.0.1/done"], scopes: ["library:read"] });
  const device = await discover(server, cli, oidc.None());
  const shown = await oidc.initiateDeviceAuthorization(device, { scope: "library:read" });
  expect(shown.verification_uri).toBe(`${base}/device`);
  const got = oidc.pollDeviceAuthorizationGrant(device, shown);
  await page.goto(shown.verification_uri);
  await accessible(page, "the device page");
  await page.getByLabel("Code that your device shows").fill("bcdf ghjk");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("alert")).toContainText("No device waits with this code");
  await page.getByLabel("Code that your device shows").fill(shown.user_code.toLowerCase().replace("-", ""));
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Command line wants to act for you" })).toBeVisible();
  await accessible(page, "the device's question");
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, "the device's question");
  await picture(page, "device");
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await expect(page.getByText("Your device goes on by itself")).toBeVisible();
  const person1 = await got;
  expect(await me(server, person1.access_token)).toMatchObject({ status: 200, email: admin.email });
  expect((await oidc.refreshTokenGrant(device, person1.refresh_token!)).access_token).toBeTruthy();
});
