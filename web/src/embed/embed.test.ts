import { describe, expect, it, vi } from "vitest";
import type * as Published from "../../../openapi/clients/typescript/src/picker";
import { Problem } from "../api";
import { allowedOrigins, Host, isHello } from "./host";
import { claims, type PickedItem, type PickerTrouble, type ToHost } from "./protocol";
import type { OpenOptions } from "./v1";

// The client of the API wants to know where it is.
vi.hoisted(() => vi.stubGlobal("location", new URL("http://localhost/")));

// What the client library says of the picker is what it does; the compiler compares.
type Same<A, B> = [A, B] extends [B, A] ? true : never;
const same: [
  Same<PickedItem, Published.PickedItem>,
  Same<PickerTrouble, Published.PickerTrouble>,
  Same<OpenOptions, Published.OpenOptions>,
] = [true, true, true];

const jwt = (body: object) => {
  const bytes = String.fromCharCode(...new TextEncoder().encode(JSON.stringify(body)));
  return `e30.${btoa(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "")}.sig`;
};

describe("claims", () => {
  it("reads a token's body, also beyond Latin", () => {
    expect(same).toHaveLength(3);
    expect(claims(jwt({ client_id: "cli_1", name: "Zoë 学" }))).toEqual({ client_id: "cli_1", name: "Zoë 学" });
  });
  it.each(["", "x", "a.b", "a.%%%.c", `a.${btoa("null")}.c`, `a.${btoa("7")}.c`])("gives nothing for %j", (token) => {
    expect(claims(token)).toEqual({});
  });
});

describe("a host's greeting", () => {
  const hello = { isthmus: "picker/1", token: "t", wishes: { types: [], multiple: false, theme: "auto", modal: true } };
  it("is known", () => expect(isHello(hello)).toBe(true));
  it.each([
    null,
    7,
    "picker/1",
    {},
    { ...hello, isthmus: "picker/2" },
    { ...hello, token: 1 },
    { ...hello, wishes: null },
  ])("is not %j", (data) => expect(isHello(data)).toBe(false));
  it("comes from an origin that the server wrote into the page", () => {
    const page = (content?: string) =>
      ({ querySelector: () => (content === undefined ? null : { content }) }) as unknown as Document;
    expect(allowedOrigins(page("https://a.example https://b.example"))).toEqual([
      "https://a.example",
      "https://b.example",
    ]);
    expect(allowedOrigins(page(""))).toEqual([]);
    expect(allowedOrigins(page())).toEqual([]);
  });
});

describe("tokens from the host", () => {
  /** A host that hears what the frame says and answers by hand. */
  function talk(token: string, now = 0) {
    const { port1, port2 } = new MessageChannel();
    const heard: ToHost[] = [];
    const waiting: ((m: ToHost) => void)[] = [];
    port2.onmessage = (e: MessageEvent<ToHost>) => {
      heard.push(e.data);
      waiting.shift()?.(e.data);
    };
    return {
      host: new Host(token, port1, () => now),
      heard,
      next: () => new Promise<ToHost>((good) => waiting.push(good)),
      answer: (m: unknown) => port2.postMessage(m),
      end: () => port1.close(),
    };
  }

  it("asks once for all that were refused together", async () => {
    const t = talk("old");
    const asked = t.next();
    const all = Promise.all([t.host.renew("old"), t.host.renew("old"), t.host.renew("old")]);
    expect(await asked).toEqual({ kind: "token_needed" });
    t.answer({ kind: "token", token: "new" });
    expect(await all).toEqual(["new", "new", "new"]);
    // Who comes late with the old one gets the new one without asking.
    expect(await t.host.renew("old")).toBe("new");
    expect(await t.host.token()).toBe("new");
    expect(t.heard).toHaveLength(1);
    t.end();
  });

  it("asks before a token ends", async () => {
    const t = talk(jwt({ exp: 100 }), 85_000);
    const asked = t.next();
    const token = t.host.token();
    await asked;
    t.answer({ kind: "token", token: "new" });
    expect(await token).toBe("new");
    t.end();
  });

  it("says why there is none, and asks again the next time", async () => {
    const t = talk("old");
    let asked = t.next();
    const first = t.host.renew("old").catch((e) => e);
    await asked;
    t.answer({ kind: "no_token", message: "Signed out." });
    const why = await first;
    expect(why).toBeInstanceOf(Problem);
    expect(why).toMatchObject({ code: "token_expired", message: "Signed out.", status: 401 });
    asked = t.next();
    const second = t.host.renew("old");
    await asked;
    t.answer({ kind: "token", token: "new" });
    expect(await second).toBe("new");
    t.end();
  });
});
