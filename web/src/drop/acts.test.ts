import { beforeEach, describe, expect, it, vi } from "vitest";

vi.hoisted(() => vi.stubGlobal("location", new URL("http://localhost/")));

import { bulk, bulkWords } from "./acts";

const refused = { code: "internal", message: "No.", next_step: "Wait." };
let bodies: { ids?: string[]; after?: string; filter?: unknown }[] = [];
let keys: (string | null)[] = [];

/** Answers the calls one after another. */
function answers(...list: { status?: number; body: object }[]) {
  vi.stubGlobal("fetch", async (r: Request) => {
    bodies.push(await r.json());
    keys.push(r.headers.get("Idempotency-Key"));
    const { status = 200, body } = list.shift() ?? { status: 500, body: { code: "asked_too_often" } };
    return Response.json(body, { status });
  });
}

const one = (id: string, error?: object) => ({ id, error });
const broken = { status: 503, body: { status: 503, code: "unavailable", detail: "Not now." } };

describe("the same for many files", () => {
  beforeEach(() => {
    bodies = [];
    keys = [];
  });
  it("goes on until the filter has no more", async () => {
    answers(
      { body: { done: 1, failed: 1, results: [one("a"), one("b", refused)], next: "after-b" } },
      { body: { done: 1, failed: 0, results: [one("c")], next: "after-c" } },
      { body: { done: 0, failed: 0, results: [] } },
    );
    const r = await bulk("h", { action: "retry", filter: { states: ["quarantined"] } });
    expect(r).toEqual({ done: 2, failed: 1, results: [one("a"), one("b", refused), one("c")] });
    expect(bodies.map((b) => b.after)).toEqual([undefined, "after-b", "after-c"]);
    expect(bodies.every((b) => b.filter && !b.ids)).toBe(true);
    expect(new Set(keys).size).toBe(3); // each call is another one
    expect(bulkWords(r, "tried again")).toBe("2 files tried again, 1 refused.");
  });
  it("sends ids in parts that are taken", async () => {
    const ids = Array.from({ length: 1001 }, (_, i) => `f${i}`);
    answers(...[500, 500, 1].map((n) => ({ body: { done: n, failed: 0, results: [one("x")] } })));
    const r = await bulk("h", { action: "undo", ids });
    expect(bulkWords(r, "back")).toBe("1,001 files back.");
    expect(bodies.map((b) => b.ids?.length)).toEqual([500, 500, 1]);
    expect(bodies.flatMap((b) => b.ids)).toEqual(ids);
  });
  it("says what was done before it was stopped", async () => {
    answers({ body: { done: 1, failed: 0, results: [one("a")], next: "after-a" } }, broken);
    const r = await bulk("h", { action: "ignore", filter: {} });
    expect(r.done).toBe(1);
    expect(r.stopped?.message).toBe("Not now.");
  });
  it("fails when nothing was done", async () => {
    answers(broken);
    await expect(bulk("h", { action: "ignore", ids: ["a"] })).rejects.toThrow("Not now.");
  });
});
