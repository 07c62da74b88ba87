import { describe, expect, it } from "vitest";
import { checkDraft, clashes, draftOf, draftProblems, fresh, inputOf, listOf, patchOf, rebased } from "./form";
import type { DropFolder } from "./types";

const folder = (change: Partial<DropFolder> = {}): DropFolder => ({
  id: "dfo_1",
  etag: '"v1"',
  name: "Newsroom",
  description: "",
  paused: false,
  source: "directory",
  path: "in",
  has_bucket_secret: false,
  complete: { rename: "*.part" },
  handler: "both",
  patterns: [],
  ignore: [],
  match: "add",
  slug: "",
  origin: { tags: ["news"], category: "Newsroom" },
  wait_hours: 72,
  delete: "manual",
  delete_days: 0,
  max_files: 0,
  max_bytes: 0,
  rate_bps: 0,
  created_by: "participant:par_1",
  health: { state: "ok" },
  states: {},
  created_at: "2026-11-21T10:00:00Z",
  updated_at: "2026-11-21T10:00:00Z",
  ...change,
});

describe("a new folder", () => {
  it("is a name and nothing else, unless somebody says more", () => {
    expect(checkDraft({ ...fresh, name: "News" })).toEqual({});
    expect(inputOf({ ...fresh, name: " News " })).toEqual({ name: "News", source: "uploads" });
  });
  it("says what was chosen and leaves the rest to the server", () => {
    const d = {
      ...fresh,
      name: "News",
      tags: "a, b, a",
      tagsFromPath: true,
      match: "match_or_add" as const,
      rate: "20",
    };
    expect(inputOf(d)).toEqual({
      name: "News",
      source: "uploads",
      match: "match_or_add",
      origin: { tags: ["a", "b"], tags_from_path: true },
      rate_bps: 20_000_000,
    });
  });
  it("of a directory says how files are whole, which no other has to", () => {
    const d = { ...fresh, name: "In", source: "directory" as const, path: "in", stable: "60" };
    expect(inputOf(d)).toMatchObject({ path: "in", complete: { rename: "*.part", stable_seconds: 60 } });
    expect(inputOf({ ...d, source: "uploads" })).toEqual({ name: "In", source: "uploads" });
  });
  it("of a bucket needs its name, and a secret with its key", () => {
    const d = { ...fresh, name: "B", source: "bucket" as const, keyId: "AK" };
    expect(Object.keys(checkDraft(d)).sort()).toEqual(["bucket", "secret"]);
    expect(checkDraft({ ...d, bucket: "b" }, true)).toEqual({});
    expect(inputOf({ ...d, bucket: "b", secret: "s" })).toMatchObject({
      bucket: { name: "b", key_id: "AK" },
      bucket_secret: "s",
    });
  });
});

describe("what was typed", () => {
  it("is told what is wrong with it, where", () => {
    const bad = {
      ...fresh,
      name: " ",
      waitHours: "0",
      delete: "after_days" as const,
      deleteDays: "soon",
      slug: "(x",
      maxFiles: "-1",
      maxGB: "many",
      rate: "x",
      stable: "1.5",
      profile: "best",
    };
    expect(Object.keys(checkDraft(bad)).sort()).toEqual(
      ["deleteDays", "maxFiles", "maxGB", "name", "profile", "rate", "slug", "stable", "waitHours"].sort(),
    );
    for (const path of ["/etc", "../x", "a/../b"])
      expect(checkDraft({ ...fresh, name: "x", source: "directory", path }).path).toBeDefined();
    expect(checkDraft({ ...fresh, name: "x", policy: "fixed" }).rate).toContain("needs");
  });
  it("is a list without doubles", () => {
    expect(listOf(" a, b,,a ")).toEqual(["a", "b"]);
  });
  it("gets the server's answer at its field", () => {
    const p = {
      fields: [
        { pointer: "/origin/tags/3", detail: "too long" } as never,
        { pointer: "/complete/marker", detail: "no dot" } as never,
        { pointer: "/nothing/known", detail: "?" } as never,
      ],
    };
    expect(draftProblems(p)).toEqual({ tags: "too long", marker: "no dot" });
  });
});

describe("a change", () => {
  it("is only what was changed, and says what was taken away", () => {
    const f = folder();
    expect(patchOf(draftOf(f), f)).toEqual({});
    expect(patchOf({ ...draftOf(f), name: "Desk" }, f)).toEqual({ name: "Desk" });
    expect(patchOf({ ...draftOf(f), category: "" }, f).origin).toMatchObject({ category: "", tags: ["news"] });
    expect(patchOf({ ...draftOf(f), rename: "", marker: ".done" }, f).complete).toEqual({
      rename: "",
      marker: ".done",
      stable_seconds: 0,
    });
  });
  it("comes to lie on top of what somebody else saved meanwhile", () => {
    const was = folder();
    const theirs = folder({ name: "Theirs", slug: "(?P<referenceId>.+)", etag: '"v2"' });
    const mine = { ...draftOf(was), name: "Mine", description: "Mine, too" };
    expect(clashes(mine, was, theirs)).toEqual([
      { name: "Name", mine: "Mine", theirs: "Theirs" },
      { name: "Description", mine: "Mine, too", theirs: "Nothing" },
    ]);
    const now = rebased(mine, was, theirs);
    expect(now).toMatchObject({ name: "Mine", description: "Mine, too", slug: "(?P<referenceId>.+)" });
    expect(patchOf(now, theirs)).toEqual({ name: "Mine", description: "Mine, too" });
  });
});
