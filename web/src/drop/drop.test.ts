import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  addressOf,
  type Filter,
  filterParams,
  filterQuery,
  keepPageSize,
  keepViews,
  momentOf,
  narrowed,
  nothing,
  pageSize,
  readFilter,
  views,
  withView,
} from "./filter";
import { samples } from "./samples";
import { slugWords, trySlug } from "./slug";
import { cut, formatOf, linesOf, offsetOf, WINDOW, windowOf } from "./source";
import {
  causeWords,
  changeWords,
  countdown,
  fixesOf,
  kalturaWords,
  reasonName,
  receivedWords,
  someNames,
  stateOrder,
} from "./words";

describe("the expression that finds the reference id", () => {
  it("takes the name without its ending when there is none", () => {
    expect(trySlug("", "day 1/tour.0042.mp4").found?.referenceId).toBe("tour.0042");
    expect(trySlug(" ", ".hidden").found?.referenceId).toBe(".hidden");
  });
  it("finds its groups in the name, not in the folders before it", () => {
    const t = trySlug("(?P<userId>[a-z]+)-(?P<referenceId>\\d+)_(?P<flavorName>\\w+)\\.", "x-1_y./lena-42_hd.mp4");
    expect(t.found).toEqual({ referenceId: "42", userId: "lena", flavorName: "hd" });
    expect(slugWords(t)).toBe("Reference id 42, user lena, rendition hd");
  });
  it("takes Kaltura's with its delimiters", () => {
    expect(trySlug("/(?P<referenceId>.+)[.]\\w{3,}/", "clip.mp4").found?.referenceId).toBe("clip");
    expect(trySlug("/(?P<referenceId>.+)[.]\\w{3,}/", "clip.ts")).toEqual({});
    expect(trySlug("#(?P<referenceId>CLIP)#i", "clip.ts").found?.referenceId).toBe("clip");
  });
  it("says what is wrong with it", () => {
    expect(trySlug("(.+)", "a.mp4").problem).toContain("(?P<referenceId>");
    expect(trySlug("(?P<referenceId>.+", "a.mp4").problem).toContain("brackets");
    expect(trySlug("(?=x)(?P<referenceId>.+)", "a.mp4").problem).toContain("ahead");
    expect(slugWords(trySlug("(?P<referenceId>\\d+)", "a.mov"))).toContain("quarantined");
  });
});

describe("the filter in the address", () => {
  it("comes back as it was", () => {
    const f: Filter = {
      ...nothing,
      q: "ä & b",
      states: ["ready", "quarantined"],
      folder: "dfo_1",
      type: "manifest",
      ending: "xml",
      from: "2026-11-01",
    };
    expect(readFilter(new URLSearchParams(addressOf(f)), stateOrder)).toEqual(f);
  });
  it("leaves out what cannot be", () => {
    const s = new URLSearchParams("state=ready,nonsense&type=cake&from=yesterday&to=2026-13");
    expect(readFilter(s, stateOrder)).toEqual({ ...nothing, states: ["ready"] });
    expect(narrowed(nothing)).toBe(false);
    expect(Object.values(filterParams(nothing)).every((v) => v === null)).toBe(true);
  });
  it("asks for whole days of the reader", () => {
    const q = filterQuery({ ...nothing, from: "2026-11-01", to: "2026-11-01" });
    expect(Date.parse(q.to!) - Date.parse(q.from!)).toBe(86_400_000);
    expect(momentOf("1st of May")).toBeUndefined();
    expect(momentOf("2026-11-01")).toBe(new Date(2026, 10, 1).toISOString());
  });
});

describe("what the browser keeps", () => {
  beforeEach(() => {
    const kept = new Map<string, string>();
    vi.stubGlobal("localStorage", {
      getItem: (k: string) => kept.get(k) ?? null,
      setItem: (k: string, v: string) => kept.set(k, v),
    });
  });
  it("keeps views, each name once, for each hub", () => {
    const bad: Filter = { ...nothing, states: ["quarantined"] };
    keepViews("h1", withView(withView([], "Bad", nothing), "Bad", bad));
    expect(views("h1")).toEqual([{ name: "Bad", address: "state=quarantined" }]);
    expect(views("h2")).toEqual([]);
  });
  it("is not upset by what others wrote there", () => {
    localStorage.setItem("drop-views/h1", '{"a":1}');
    localStorage.setItem("drop-page-size", "many");
    expect(views("h1")).toEqual([]);
    expect(pageSize()).toBe(25);
    keepPageSize(100);
    expect(pageSize()).toBe(100);
    keepPageSize(7);
    expect(pageSize()).toBe(25);
  });
});

describe("the source of a manifest", () => {
  it("is known by its name, or else by how it begins", () => {
    expect(formatOf("a.XML", "{}")).toBe("xml");
    expect(formatOf("", "\ufeff\n <mrss/>")).toBe("xml");
    expect(formatOf("", "[1]")).toBe("json");
    expect(formatOf("notes", "name,file")).toBe("csv");
    for (const [format, text] of Object.entries(samples)) expect(formatOf("", text)).toBe(format);
  });
  it("has lines, however they end", () => {
    expect(linesOf("\ufeffa\r\nb\rc\nd")).toEqual(["a", "b", "c", "d"]);
    expect(offsetOf("\ufeffa\r\nb\rc\nd", 1, 1)).toBe(1);
    expect(offsetOf("a\r\nbc\rd", 2, 2)).toBe(4);
    expect(offsetOf("a\r\nbc\rd", 3, 1)).toBe(6);
    expect(offsetOf("a", 9, 1)).toBe(1);
  });
  it("counts characters, not halves of them", () => {
    expect(cut("a😀b", 2)).toEqual(["a", "😀", "b"]);
    expect(cut("a😀b", 3)).toEqual(["a😀", "b", ""]);
    expect(cut("ab", 9)).toEqual(["ab", "", ""]);
    expect(offsetOf("a😀b", 1, 3)).toBe(3);
  });
  it("is shown in part when it is long", () => {
    expect(windowOf(10, 5)).toEqual([1, 10]);
    expect(windowOf(10_000, 5000)).toEqual([5000 - WINDOW / 2, 5000 + WINDOW / 2 - 1]);
    expect(windowOf(10_000, 9999)[1]).toBe(10_000);
    expect(windowOf(10_000, 1)[0]).toBe(1);
  });
});

describe("words", () => {
  it("count down to a deletion", () => {
    const now = Date.parse("2026-11-22T10:00:00Z");
    const later = (s: number) => new Date(now + s * 1000).toISOString();
    expect(countdown(later(65), now)).toBe("1:05");
    expect(countdown(later(3 * 3600 + 720), now)).toBe("3 h 12 min");
    expect(countdown(later(2 * 86_400 + 3600), now)).toBe("2 days 1 h");
    expect(countdown(later(30 * 86_400), now)).toBe("30 days");
    expect(countdown(later(-1), now)).toBe("any moment");
  });
  it("say what changed among the rows, not each of many", () => {
    const before = new Map([
      ["1", "pending"],
      ["2", "importing"],
      ["3", "pending"],
    ]);
    const row = (id: string, state: string) => ({ id, name: `${id}.mp4`, state });
    expect(changeWords(before, [row("1", "pending"), row("9", "ready")])).toBe("");
    expect(changeWords(before, [row("1", "ready")])).toBe("1.mp4: ready.");
    expect(changeWords(before, [row("1", "ready"), row("2", "ready"), row("3", "quarantined")])).toBe(
      "3 files changed: 2 ready, 1 quarantined.",
    );
  });
  it("name what is waited for", () => {
    expect(someNames(["a", "entry:x"])).toBe("a, an entry with the reference id x");
    expect(someNames(["a", "b", "c", "d", "e"])).toBe("a, b, c and 2 more");
  });
  it("offer what can help", () => {
    expect(fixesOf("manifest_malformed", true)[0]).toBe("validate");
    expect(fixesOf("no_entry", false)[0]).toBe("match");
    expect(fixesOf("never heard of", false)).toEqual(["retry", "delete"]);
    expect(fixesOf("items_failed", false)).not.toContain("validate");
  });
  it("read as in Kaltura, and do without knowing all", () => {
    expect(kalturaWords(9, "5")).toBe("9 ERROR_HANDLING, code 5");
    expect(reasonName("odd_thing")).toBe("Odd thing");
    expect(reasonName("")).toBe("Other reasons");
    expect(causeWords("upload.finished")).toBe("All its bytes came.");
    expect(causeWords("odd.thing")).toBe("Odd thing");
  });
});

it("says how much of an upload is here while it is under way", () => {
  expect(receivedWords({ received: 3_000_000, size: 7_340_032 })).toBe("3.0 MB of 7.3 MB");
  expect(receivedWords({ received: 0, size: 10 })).toBe("0 B of 10 B");
  expect(receivedWords({ received: 10, size: 10 })).toBe("");
  expect(receivedWords({ size: 10 })).toBe("");
});
