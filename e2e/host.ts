// Other people's sites, at origins of their own, and apps that are registered for them.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Demo } from "./server.ts";

/** A small site: each path has a page; what is posted to /token answers what `token` gives. */
export class Site {
  readonly asked: string[] = [];
  private constructor(
    readonly origin: string,
    private readonly close: () => Promise<void>,
  ) {}

  static async start(pages: Record<string, string>, token: () => Promise<string> = async () => ""): Promise<Site> {
    let site: Site;
    const server = createServer(async (req: IncomingMessage, res: ServerResponse) => {
      const path = new URL(req.url!, "http://site").pathname;
      site.asked.push(`${req.method} ${path}`);
      const page = pages[path];
      if (req.method === "POST" && path === "/token") res.end(await token());
      else if (page !== undefined) res.setHeader("Content-Type", "text/html; charset=utf-8").end(page);
      else res.writeHead(404).end();
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    // Another host name than the server's, so that it is another site to the browser, not just another port.
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    site = new Site(
      origin,
      () =>
        new Promise((done) => {
          server.closeAllConnections();
          server.close(() => done());
        }),
    );
    return site;
  }

  stop(): Promise<void> {
    return this.close();
  }
}

export interface App {
  id: string;
  secret: string;
}

/** A token of a client by its own credentials, or by other parameters of the token endpoint. */
export async function tokenOf(demo: Demo, app: App, params: Record<string, string> = {}): Promise<string> {
  const r = await fetch(`${demo.base_url}/oauth2/token`, {
    method: "POST",
    headers: { Authorization: `Basic ${btoa(`${app.id}:${app.secret}`)}` },
    body: new URLSearchParams({ grant_type: "client_credentials", ...params }),
  });
  const body = (await r.json()) as { access_token?: string };
  if (!body.access_token) throw new Error(`no token: ${r.status} ${JSON.stringify(body)}`);
  return body.access_token;
}

export const demoApp = (demo: Demo): App => ({ id: demo.client_id, secret: demo.client_secret });

/** Calls the API as the demo's client. */
export async function callAPI<T>(demo: Demo, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const r = await fetch(demo.base_url + path, {
    method,
    headers: {
      Authorization: `Bearer ${await tokenOf(demo, demoApp(demo))}`,
      ...(body === undefined ? {} : { "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await r.text();
  if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

/** Registers an app of the connected hub. */
export async function register(demo: Demo, origins: string[], scopes: string[]): Promise<App> {
  const made = await callAPI<{ client: { id: string }; secret: string }>(demo, "POST", `/v1/hubs/${demo.hub_id}/clients`, {
    name: "Lakeside Spaces",
    type: "machine",
    origins,
    scopes,
  });
  return { id: made.client.id, secret: made.secret };
}

/** The ID token that the demo's identity provider gives a person for the spaces platform's own app. */
export async function idToken(demo: Demo, who: { email: string; password: string }): Promise<string> {
  const idp = `${demo.base_url}/demo-idp`;
  const app = { client_id: "lakeside-spaces", redirect_uri: "http://127.0.0.1:9/callback" };
  const verifier = "a-verifier-of-the-test-that-is-long-enough-0123456789";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  const ask = new URLSearchParams({
    ...app,
    response_type: "code",
    scope: "openid profile email",
    state: "s",
    code_challenge: Buffer.from(digest).toString("base64url"),
    code_challenge_method: "S256",
  });
  const where = async (r: Response): Promise<URL> => {
    const to = r.headers.get("Location");
    if (!to) throw new Error(`no redirect: ${r.status} ${await r.text()}`);
    return new URL(to, idp);
  };
  const login = await where(await fetch(`${idp}/authorize?${ask}`, { redirect: "manual" }));
  const answered = await fetch(`${idp}/login`, {
    method: "POST",
    redirect: "manual",
    headers: { Origin: demo.base_url },
    body: new URLSearchParams({ id: login.searchParams.get("id")!, email: who.email, password: who.password }),
  });
  const code = (await where(answered)).searchParams.get("code")!;
  const r = await fetch(`${idp}/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "authorization_code", code, code_verifier: verifier, ...app }),
  });
  const body = (await r.json()) as { id_token?: string };
  if (!body.id_token) throw new Error(`no ID token: ${r.status} ${JSON.stringify(body)}`);
  return body.id_token;
}
