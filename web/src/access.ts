// How requests prove who we are: on our own pages the browser's cookie does it, in the picker a
// bearer token that the page around us gave and that lives in memory only.

/** Where tokens come from when there is no cookie. */
export interface Bearer {
  /** A token that should still work. Rejects with a Problem when there is none. */
  token(): Promise<string>;
  /** Another one, because the server refused `stale`. */
  renew(stale: string): Promise<string>;
}

let bearer: Bearer | null = null;

/** From now on no cookie is sent, and every request carries a token. */
export function useBearer(b: Bearer): void {
  bearer = b;
}

function carrying(r: Request, token: string): Request {
  const headers = new Headers(r.headers);
  headers.set("Authorization", `Bearer ${token}`);
  return new Request(r, { headers, credentials: "omit" });
}

/** fetch, as who we are. A refused token is renewed and the request sent once more. */
export async function ask(request: Request): Promise<Response> {
  if (!bearer) return fetch(request);
  const token = await bearer.token();
  const again = request.clone();
  const answer = await fetch(carrying(request, token));
  if (answer.status !== 401) return answer;
  return fetch(carrying(again, await bearer.renew(token)));
}

/** The Authorization header for what is not sent by fetch; undefined where the cookie does it. */
export async function authorization(): Promise<string | undefined> {
  return bearer ? `Bearer ${await bearer.token()}` : undefined;
}
