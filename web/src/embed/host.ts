// The picker's side of the talk with the page around it.
import type { Bearer } from "../access";
import { Problem } from "../api";
import { claims, type Hello, type ToFrame, type ToHost } from "./protocol";

/** How long the host may take to get a new token: a person may have to sign in there. */
const TOKEN_MS = 60_000;
/** A token this close to its end is renewed before it is used. */
const NEAR_END_MS = 20_000;

/** Origins that the server let show this page, as it wrote them into it. */
export function allowedOrigins(doc: Document): string[] {
  const meta = doc.querySelector<HTMLMetaElement>('meta[name="isthmus-origins"]');
  return (meta?.content ?? "").split(" ").filter(Boolean);
}

/** Whether a message is a host's greeting; anything else is nobody's business. */
export function isHello(data: unknown): data is Hello {
  const h = data as Partial<Hello> | null;
  return (
    typeof h === "object" &&
    h !== null &&
    h.isthmus === "picker/1" &&
    typeof h.token === "string" &&
    typeof h.wishes === "object" &&
    h.wishes !== null &&
    Array.isArray(h.wishes.types)
  );
}

function noToken(message: string): Problem {
  return new Problem({
    status: 401,
    code: "token_expired",
    detail: message,
    next_step: "Close the library and open it again; sign in again where you came from if that does not help.",
    retryable: false,
  });
}

/** The host as the source of tokens. They are kept here and nowhere else. */
export class Host implements Bearer {
  private current: string;
  private asking?: { done: Promise<string>; settle: (m: ToFrame) => void };

  constructor(
    token: string,
    private readonly port: MessagePort,
    private readonly now: () => number = Date.now,
  ) {
    this.current = token;
    port.onmessage = (e: MessageEvent<ToFrame>) => this.asking?.settle(e.data);
  }

  tell(m: ToHost): void {
    this.port.postMessage(m);
  }

  async token(): Promise<string> {
    const exp = claims(this.current).exp;
    if (typeof exp === "number" && exp * 1000 - NEAR_END_MS < this.now()) return this.renew(this.current);
    return this.current;
  }

  /** Asks once, however many requests were refused together. */
  renew(stale: string): Promise<string> {
    if (stale !== this.current) return Promise.resolve(this.current);
    this.asking ??= this.askForToken();
    return this.asking.done;
  }

  private askForToken(): { done: Promise<string>; settle: (m: ToFrame) => void } {
    let settle!: (m: ToFrame) => void;
    const done = new Promise<string>((good, bad) => {
      const timer = setTimeout(
        () => settle({ kind: "no_token", message: "The page around did not renew the access token." }),
        TOKEN_MS,
      );
      settle = (m) => {
        clearTimeout(timer);
        this.asking = undefined;
        if (m.kind === "token" && typeof m.token === "string" && m.token) {
          this.current = m.token;
          good(m.token);
        } else {
          bad(noToken(m.kind === "no_token" ? m.message : "The page around sent no access token."));
        }
      };
    });
    this.tell({ kind: "token_needed" });
    return { done, settle };
  }
}
