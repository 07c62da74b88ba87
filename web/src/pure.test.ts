import { describe, expect, it } from "vitest";
import { ago, bytes, clock, percent, remaining } from "./format";
import { checkDraft, connection, emptyDraft } from "./kaltura/credential";
import { step } from "./library/grid";
import { createdAfter, narrowed, readAsk } from "./library/query";
import { append, merge } from "./library/rows";
import { parse, reconnectDelay } from "./live";
import { match } from "./router";
import { STEP, turn } from "./viewer/look";
import { fold } from "./viewer/peaks";

describe("words for numbers", () => {
  it("sizes", () => {
    expect([0, 999, 1000, 1_536_000, 999_600, 5e9, 4.2e13].map(bytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "1.5 MB",
      "1.0 MB",
      "5.0 GB",
      "42 TB",
    ]);
  });
  it("lengths", () => {
    expect([0, Number.NaN, 400, 8000, 83_000, 3_723_000].map(clock)).toEqual([
      "",
      "",
      "0:01",
      "0:08",
      "1:23",
      "1:02:03",
    ]);
  });
  it("never says 100 % before the end", () => {
    expect([0, 0.999, 1, 7, -1].map(percent)).toEqual(["0 %", "99 %", "100 %", "100 %", "0 %"]);
  });
  it("what is left", () => {
    expect([3, 31, 90, 600, 5000, 10_000].map(remaining)).toEqual([
      "a few seconds",
      "35 seconds",
      "about 2 minutes",
      "about 10 minutes",
      "about an hour",
      "about 3 hours",
    ]);
    expect(remaining(Number.POSITIVE_INFINITY)).toBe("");
  });
  it("how long ago", () => {
    const now = Date.parse("2026-11-21T12:00:00Z");
    expect(["2026-11-21T11:59:50Z", "2026-11-21T11:55:00Z", "2026-11-20T12:00:00Z"].map((t) => ago(t, now))).toEqual([
      "just now",
      "5 minutes ago",
      "yesterday",
    ]);
  });
});

describe("addresses", () => {
  it("match their pattern", () => {
    expect(match("/hubs/:hub/library", "/hubs/hub_1/library/")).toEqual({ hub: "hub_1" });
    expect(match("/connect/:secret", "/connect/a%20b")).toEqual({ secret: "a b" });
    for (const path of ["/hubs//library", "/hubs/x", "/hubs/x/library/y", "/connect/%E0%A4%A"]) {
      expect(match(path.startsWith("/c") ? "/connect/:secret" : "/hubs/:hub/library", path)).toBeNull();
    }
  });
  it("hold a search; what is unknown counts as absent", () => {
    const ask = readAsk(new URLSearchParams("q=sea&type=video&is_360=1&since=7&sort=-duration&status=nonsense"));
    expect(ask).toEqual({
      q: "sea",
      type: "video",
      is360: true,
      mine: false,
      status: "",
      since: "7",
      sort: "-duration",
    });
    expect(readAsk(new URLSearchParams("type=toString&sort=constructor"))).toMatchObject({
      type: "",
      sort: "-created",
    });
    expect(narrowed(ask)).toBe(true);
    expect(narrowed(readAsk(new URLSearchParams("sort=name")))).toBe(false);
  });
  it("ask for the same day within the hour", () => {
    const now = Date.parse("2026-11-21T12:34:56Z");
    expect(createdAfter("1", now)).toBe("2026-11-20T12:00:00.000Z");
    expect(createdAfter("1", now + 60_000)).toBe(createdAfter("1", now));
    expect(createdAfter("", now)).toBeUndefined();
  });
});

describe("lists", () => {
  const row = (id: string, v = 0) => ({ id, v });
  it("take a fresh first page without losing the place", () => {
    expect(merge([row("b"), row("c"), row("d")], [row("a"), row("b", 1)])).toEqual([
      row("a"),
      row("b", 1),
      row("c"),
      row("d"),
    ]);
  });
  it("append without doubles when rows moved between pages", () => {
    expect(append([row("a"), row("b")], [row("b"), row("c")])).toEqual([row("a"), row("b"), row("c")]);
  });
});

describe("arrow keys in a grid of three columns", () => {
  const boxes = [0, 1, 2, 3, 4, 5, 6].map((i) => ({ left: (i % 3) * 100, top: Math.floor(i / 3) * 50 }));
  const go = (from: number, key: string, rtl = false) => step(boxes, from, key, rtl);
  it("go along and stop at the ends", () => {
    expect([go(0, "ArrowRight"), go(2, "ArrowRight"), go(0, "ArrowLeft"), go(6, "ArrowRight")]).toEqual([1, 3, 0, 6]);
    expect([go(3, "Home"), go(3, "End")]).toEqual([0, 6]);
  });
  it("go up and down to the nearest, also into a short row", () => {
    expect([go(1, "ArrowDown"), go(5, "ArrowUp"), go(5, "ArrowDown"), go(6, "ArrowDown"), go(1, "ArrowUp")]).toEqual([
      4, 2, 6, 6, 1,
    ]);
    expect([go(2, "PageDown"), go(6, "PageUp")]).toEqual([6, 0]);
  });
  it("are mirrored in right-to-left", () => {
    expect([go(1, "ArrowRight", true), go(1, "ArrowLeft", true)]).toEqual([0, 2]);
  });
});

describe("live events", () => {
  it("are read, with the name of the message when they have none", () => {
    expect(parse("upload.ready", '{"subject":"upl_1","data":{"a":1}}')).toEqual({
      type: "upload.ready",
      subject: "upl_1",
      data: { a: 1 },
    });
  });
  it("drop what is no event", () => {
    expect([parse("x", "nonsense"), parse("x", "null"), parse("x", '{"data":{}}')]).toEqual([null, null, null]);
  });
  it("come back after longer and longer, at most 15 seconds", () => {
    expect([0, 1, 4, 5, 99].map(reconnectDelay)).toEqual([500, 1000, 8000, 15_000, 15_000]);
  });
});

describe("a credential", () => {
  const good = { ...emptyDraft, partnerId: " 1234567 ", tokenId: "0_ab12cd34", token: " 0123456789abcdef " };
  it("is tidied", () => {
    expect(checkDraft(good)).toEqual({});
    expect(connection({ ...good, serviceUrl: "https://k.example/ " }, "own")).toEqual({
      service_url: "https://k.example",
      partner_id: 1234567,
      app_token_id: "0_ab12cd34",
      app_token: "0123456789abcdef",
      hash_type: "SHA256",
      visibility: "own",
      match_by: undefined,
    });
  });
  it("is checked before it is sent", () => {
    expect(Object.keys(checkDraft(emptyDraft)).sort()).toEqual(["partnerId", "token", "tokenId"]);
    for (const serviceUrl of ["kaltura.com", "ftp://k.example", "https://u:p@k.example", "https://k.example/?x=1"]) {
      expect(checkDraft({ ...good, serviceUrl }), serviceUrl).toHaveProperty("serviceUrl");
    }
    expect(checkDraft({ ...good, partnerId: "12a" })).toHaveProperty("partnerId");
    expect(checkDraft({ ...good, token: "0_ab12cd34" }).token).toContain("id again");
  });
});

it("turns by arrow keys only", () => {
  expect(turn("ArrowLeft")).toEqual({ yaw: -STEP, pitch: 0 });
  expect(turn("ArrowUp")).toEqual({ yaw: 0, pitch: STEP });
  expect(turn("Enter")).toBeNull();
});

it("folds a waveform, keeping the loudest", () => {
  expect(fold([0, 0.5, -0.9, 0.1], 2)).toEqual([0.5, 0.9]);
  expect(fold([0.2], 3)).toEqual([0.2, 0.2, 0.2]);
  expect(fold([4], 1)).toEqual([1]);
});
