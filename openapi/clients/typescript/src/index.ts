/**
 * Client for the Isthmus REST API: every path, parameter and body is checked against the OpenAPI
 * description by the compiler; tokens are fetched and renewed, refusals for being too fast or for a
 * moment unavailable are repeated, and requests that create something carry an Idempotency-Key.
 */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.gen.js";

export type { components, paths };
/** All bodies by name, such as `Schemas["Media"]`. */
export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];
export type IsthmusClient = Client<paths>;

/** Gives an access token; with `fresh` a new one, because the last was refused. */
export type TokenSource = (fresh?: boolean) => Promise<string>;

export interface ClientOptions {
  /** Such as "https://isthmus.example.org", without a path. */
  baseUrl: string;
  token: TokenSource;
  /** How often a request is repeated that may succeed later. Default 3. */
  retries?: number;
  fetch?: typeof globalThis.fetch;
}

/** Makes a client. Safe to share; it holds nothing but the token source. */
export function isthmus(options: ClientOptions): IsthmusClient {
  return createClient<paths>({
    baseUrl: options.baseUrl,
    fetch: (request: Request) => send(request, options),
    querySerializer: { array: { style: "form", explode: false } },
  });
}

async function send(request: Request, o: ClientOptions): Promise<Response> {
  const fetch = o.fetch ?? globalThis.fetch;
  const headers = new Headers(request.headers);
  // With a key the server does it once, so that a POST may be repeated like everything else.
  if (request.method === "POST" && !headers.has("Idempotency-Key")) headers.set("Idempotency-Key", crypto.randomUUID());
  const body = request.body ? await request.arrayBuffer() : undefined;
  let renewed = false;
  for (let left = o.retries ?? 3; ; left--) {
    headers.set("Authorization", `Bearer ${await o.token(renewed)}`);
    let answer: Response;
    try {
      answer = await fetch(new Request(request.url, { method: request.method, headers, body, signal: request.signal }));
    } catch (e) {
      if (left <= 0 || request.signal.aborted) throw e;
      await sleep(backoff(left), request.signal);
      continue;
    }
    if (answer.status === 401 && !renewed) {
      renewed = true;
      continue;
    }
    if ((answer.status !== 429 && answer.status !== 503) || left <= 0) return answer;
    const wait = retryAfter(answer.headers.get("Retry-After")) ?? backoff(left);
    await answer.body?.cancel();
    await sleep(wait, request.signal);
  }
}

/** Milliseconds of a Retry-After, which holds seconds or a date; undefined without one. */
export function retryAfter(value: string | null, now = Date.now()): number | undefined {
  if (!value) return undefined;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

const backoff = (left: number) => (500 * 2 ** Math.max(0, 3 - left)) * (0.5 + Math.random());

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((good, bad) => {
    const end = () => {
      clearTimeout(timer);
      bad(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end);
      good();
    }, ms);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

interface Registered {
  baseUrl: string;
  clientId: string;
  /** Without one the client is public: a browser or native app. */
  clientSecret?: string;
  /** Fewer than the client may have; without it all. */
  scope?: string[];
  fetch?: typeof globalThis.fetch;
}

/** Tokens of the client itself (RFC 6749, client credentials). */
export function clientCredentials(o: Registered): TokenSource {
  return cached(() => askForToken(o, { grant_type: "client_credentials" }));
}

/**
 * Tokens of one of your users, for an ID or access token that your identity provider gave them
 * (RFC 8693). `subjectToken` is asked each time: hand out the newest one you have.
 */
export function tokenExchange(
  o: Registered & { subjectToken: () => string | Promise<string>; subjectTokenType?: "id_token" | "access_token" },
): TokenSource {
  return cached(async () =>
    askForToken(o, {
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: await o.subjectToken(),
      subject_token_type: `urn:ietf:params:oauth:token-type:${o.subjectTokenType ?? "id_token"}`,
    }),
  );
}

interface Grant {
  token: string;
  until: number;
}

/** Keeps a token until shortly before its end; many who ask together wait for one answer. */
function cached(ask: () => Promise<Grant>): TokenSource {
  let grant: Grant | undefined;
  let asking: Promise<Grant> | undefined;
  return async (fresh = false) => {
    if (grant && !fresh && Date.now() < grant.until) return grant.token;
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    grant = await asking;
    return grant.token;
  };
}

async function askForToken(o: Registered, params: Record<string, string>): Promise<Grant> {
  const body = new URLSearchParams(params);
  if (o.scope) body.set("scope", o.scope.join(" "));
  const headers: Record<string, string> = { Accept: "application/json" };
  if (o.clientSecret === undefined) body.set("client_id", o.clientId);
  else headers.Authorization = `Basic ${btoa(`${encodeURIComponent(o.clientId)}:${encodeURIComponent(o.clientSecret)}`)}`;
  const answer = await (o.fetch ?? globalThis.fetch)(new URL("/oauth2/token", o.baseUrl), { method: "POST", headers, body });
  const said = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  if (!answer.ok || typeof said.access_token !== "string") {
    throw new TokenError(String(said.error ?? `status_${answer.status}`), String(said.error_description ?? ""));
  }
  const life = typeof said.expires_in === "number" ? said.expires_in : 60;
  return { token: said.access_token, until: Date.now() + Math.max(1, life - 30) * 1000 };
}

/** The token endpoint refused (RFC 6749 §5.2). */
export class TokenError extends Error {
  constructor(
    readonly code: string,
    readonly description: string,
  ) {
    super(description ? `${code}: ${description}` : code);
    this.name = "TokenError";
  }
}

/** What the API answered instead of what was asked for (RFC 9457). */
export class IsthmusError extends Error {
  constructor(readonly problem: Partial<Problem> & { status: number }) {
    super(problem.detail ?? problem.title ?? `status ${problem.status}`);
    this.name = "IsthmusError";
  }
  /** Stable; see /docs/errors. */
  get code(): string {
    return this.problem.code ?? "unknown";
  }
  get nextStep(): string {
    return this.problem.next_step ?? "";
  }
}

/** Gives the body of an answer, or throws an IsthmusError. */
export async function unwrap<T>(asked: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await asked;
  if (response.ok) return data as T;
  const problem = error && typeof error === "object" ? (error as Partial<Problem>) : {};
  throw new IsthmusError({ ...problem, status: response.status });
}

/** All elements of a list, page by page. */
export async function* all<T>(
  page: (cursor: string | undefined) => Promise<{ items: T[]; next?: string }>,
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined;
  do {
    const { items, next } = await page(cursor);
    yield* items;
    cursor = next;
  } while (cursor);
}
