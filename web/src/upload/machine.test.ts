import { describe, expect, it } from "vitest";
import type { Upload } from "../api";
import {
  elsewhere,
  fromServer,
  type Happening,
  type Item,
  newItem,
  next,
  over,
  quarter,
  retryDelay,
  total,
  turns,
  wouldBeLost,
} from "./machine";
import { Teller } from "./tell";

const upload = (state: Upload["state"], more: Partial<Upload> = {}): Upload => ({
  id: "upl_1",
  name: "a.mp4",
  title: "a",
  tags: [],
  size: 100,
  offset: 0,
  state,
  progress: 0,
  tus_url: "/files/upl_1",
  mine: true,
  is_360: false,
  suggest_360: false,
  created_at: "2026-11-21T10:00:00Z",
  updated_at: "2026-11-21T10:00:00Z",
  expires_at: "2026-12-21T10:00:00Z",
  ...more,
});
const failure = { code: "x", message: "No.", nextStep: "Do." };
const broken = (more: Partial<Extract<Happening, { kind: "broken" }>> = {}): Happening => ({
  kind: "broken",
  retryable: true,
  failure,
  now: 1000,
  jitter: 0.5,
  offline: false,
  ...more,
});
const run = (it: Item, ...hs: Happening[]) => hs.reduce(next, it);
const sending = () =>
  run(
    newItem("k", "a.mp4", 100),
    { kind: "start" },
    { kind: "announced", upload: upload("receiving", { offset: 20 }) },
  );

describe("an upload", () => {
  it("goes from queued to ready", () => {
    let it_ = sending();
    expect(it_).toMatchObject({ phase: "sending", id: "upl_1", sent: 20 });
    expect(run(it_, broken({ afterMs: 5000 })), "others have the line").toMatchObject({
      phase: "retrying",
      attempts: 0,
      retryAt: 6000,
    });
    it_ = run(it_, { kind: "progress", sent: 60 }, { kind: "hashed", bytes: 50 }, { kind: "sent" });
    expect(it_).toMatchObject({ phase: "finishing", sent: 100, hashed: 50, digest: "" });
    it_ = run(it_, { kind: "digest", digest: "ab" }, { kind: "server", upload: upload("ingesting") });
    expect(it_).toMatchObject({ phase: "server", digest: "ab" });
    it_ = run(
      it_,
      { kind: "server", upload: upload("processing") },
      { kind: "server", upload: upload("ready", { entry_id: "0_x" }) },
    );
    expect(it_.phase).toBe("ready");
    expect(over(it_)).toBe(true);
  });

  it("keeps what was sent when it pauses, and waits for its turn when it resumes", () => {
    const paused = run(sending(), { kind: "progress", sent: 55 }, { kind: "pause" });
    expect(paused).toMatchObject({ phase: "paused", sent: 55 });
    expect(wouldBeLost(paused)).toBe(false);
    expect(next(paused, { kind: "resume" }).phase).toBe("queued");
  });

  it("ignores late progress of a paused upload", () => {
    const paused = next(sending(), { kind: "pause" });
    expect(run(paused, { kind: "progress", sent: 99 }, { kind: "sent" }, broken())).toBe(paused);
  });

  it("learns its id while it is paused, and stays paused", () => {
    const it_ = run(
      newItem("k", "a.mp4", 100),
      { kind: "start" },
      { kind: "pause" },
      { kind: "announced", upload: upload("receiving") },
    );
    expect(it_).toMatchObject({ phase: "paused", id: "upl_1" });
  });

  it("counts down after a failure, longer each time, and starts over when bytes go through", () => {
    let it_ = next(sending(), broken());
    expect(it_).toMatchObject({ phase: "retrying", attempts: 1, retryAt: 2000 });
    it_ = run(
      it_,
      { kind: "due" },
      { kind: "start" },
      { kind: "announced", upload: upload("receiving", { offset: 20 }) },
      broken(),
    );
    expect(it_).toMatchObject({ attempts: 2, retryAt: 3000 });
    it_ = run(
      it_,
      { kind: "due" },
      { kind: "start" },
      { kind: "announced", upload: upload("receiving", { offset: 20 }) },
    );
    expect(next(it_, { kind: "progress", sent: 21 }).attempts).toBe(0);
    expect(next(it_, { kind: "progress", sent: 20 }).attempts).toBe(2);
  });

  it("waits for the line without a countdown when offline", () => {
    expect(next(sending(), broken({ offline: true }))).toMatchObject({ phase: "retrying", retryAt: 0 });
  });

  it("stops at what a repeat cannot help, and can be tried again by hand", () => {
    const failed = next(sending(), broken({ retryable: false }));
    expect(failed).toMatchObject({ phase: "failed", failure });
    expect(next(failed, { kind: "due" })).toBe(failed);
    expect(next(failed, { kind: "retry" })).toMatchObject({ phase: "queued", failure: null, attempts: 0 });
  });

  it("does not come back after it was cancelled", () => {
    const gone = next(sending(), { kind: "cancel" });
    expect(next(gone, { kind: "server", upload: upload("ready") })).toBe(gone);
    expect(run(gone, { kind: "resume" }, { kind: "retry" }, { kind: "due" })).toBe(gone);
  });

  it("is not moved back by what the server says while we send", () => {
    const it_ = run(
      sending(),
      { kind: "progress", sent: 80 },
      { kind: "server", upload: upload("receiving", { offset: 40 }) },
    );
    expect(it_).toMatchObject({ phase: "sending", sent: 80 });
  });

  it("jumps on when the server has finished it meanwhile", () => {
    const it_ = run(newItem("k", "a.mp4", 100), { kind: "start" }, { kind: "announced", upload: upload("processing") });
    expect(it_.phase).toBe("server");
  });
});

describe("an upload of before", () => {
  it("needs its file again", () => {
    const it_ = fromServer(upload("receiving", { offset: 40 }));
    expect(it_).toMatchObject({ phase: "needs_file", sent: 40, hasFile: false });
    expect(wouldBeLost(it_)).toBe(false);
    expect(next(it_, { kind: "file" })).toMatchObject({ phase: "queued", hasFile: true });
  });
  it("follows another device", () => {
    const it_ = next(fromServer(upload("receiving", { offset: 40 })), {
      kind: "server",
      upload: upload("receiving", { offset: 70 }),
    });
    expect(it_).toMatchObject({ phase: "needs_file", sent: 70 });
  });
  it("tells why it failed", () => {
    const error = { code: "truncated", message: "Cut off.", next_step: "Upload again." };
    expect(fromServer(upload("failed", { error }))).toMatchObject({
      phase: "failed",
      failure: { message: "Cut off.", nextStep: "Upload again." },
    });
    expect(fromServer(upload("expired")).failure?.code).toBe("expired");
  });
});

it("waits 1, 2, 4 … at most 60 seconds, spread by a quarter", () => {
  expect([1, 2, 3, 7, 50].map((n) => retryDelay(n, 0.5))).toEqual([1000, 2000, 4000, 60_000, 60_000]);
  expect(retryDelay(1, 0)).toBe(750);
  expect(retryDelay(1, 1)).toBe(1250);
});

it("counts quarters", () => {
  expect([0, 24, 25, 74, 75, 100].map((n) => quarter(n, 100))).toEqual([0, 0, 1, 2, 3, 4]);
  expect(quarter(0, 0)).toBe(0);
});

describe("several files", () => {
  const at = (key: string, phase: Item["phase"], more: Partial<Item> = {}): Item => ({
    ...newItem(key, key, 100),
    phase,
    ...more,
  });
  const keys = (t: ReturnType<typeof turns>) => [t.start.map((i) => i.key), t.hold.map((i) => i.key)];

  it("take turns, in their order", () => {
    const items = [at("a", "sending"), at("b", "queued"), at("c", "paused"), at("d", "queued"), at("e", "queued")];
    expect(keys(turns(items, 3, ""))).toEqual([["b", "d"], []]);
    expect(keys(turns(items, 1, ""))).toEqual([[], []]);
  });
  it("wait while one is sent first, but not while that one is stuck", () => {
    const items = [at("a", "sending"), at("b", "preparing"), at("c", "finishing"), at("d", "queued")];
    expect(keys(turns(items, 3, "d"))).toEqual([["d"], ["a", "b"]]);
    expect(keys(turns([at("d", "sending"), at("a", "queued")], 3, "d"))).toEqual([[], []]);
    for (const phase of ["retrying", "paused", "finishing", "failed", "ready"] as const) {
      expect(keys(turns([at("d", phase), at("a", "queued")], 3, "d")), phase).toEqual([["a"], []]);
    }
    expect(next(at("a", "sending", { sent: 40 }), { kind: "hold" })).toMatchObject({ phase: "queued", sent: 40 });
    expect(next(at("a", "finishing"), { kind: "hold" }).phase).toBe("finishing");
  });
  it("are counted together", () => {
    const items = [
      at("a", "sending", { sent: 40 }),
      at("b", "server"),
      at("c", "failed", { sent: 90 }),
      at("d", "cancelled"),
      at("e", "paused", { sent: 10 }),
    ];
    expect(total(items)).toEqual({ files: 4, left: 2, failed: 1, size: 300, sent: 150 });
  });
  it("are seen to come from another device", () => {
    const lost = fromServer(upload("receiving", { offset: 10 }));
    const told = next(lost, { kind: "server", upload: upload("receiving", { offset: 20 }), now: 5000 });
    expect([elsewhere(lost, 5000), elsewhere(told, 9000), elsewhere(told, 60_000)]).toEqual([false, true, false]);
    expect(elsewhere(next(told, { kind: "file" }), 9000)).toBe(false);
  });
  it("are one matter for screen readers", () => {
    const heard: string[] = [];
    const teller = new Teller((text) => heard.push(text));
    let items = [at("a", "sending"), at("b", "sending")];
    const step = (i: number, change: Partial<Item>) => {
      const before = items[i]!;
      items = items.map((x, n) => (n === i ? { ...x, ...change } : x));
      teller.tell(before, items[i]!, total(items));
    };
    teller.begun(["a", "b"]);
    step(0, { sent: 30 });
    step(0, { sent: 60 });
    step(0, { sent: 65 });
    step(1, { sent: 40 });
    step(0, { phase: "server" });
    step(0, { phase: "ready" });
    step(1, { phase: "server" });
    expect(heard).toEqual([
      "2 uploads begin.",
      "2 files: 25 percent sent.",
      "2 files: 50 percent sent.",
      "All 2 files are uploaded and being processed.",
    ]);
  });
});
