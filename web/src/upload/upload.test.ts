import { describe, expect, it } from "vitest";
import { Rate } from "./eta";
import { ENDS, ends, fingerprint, sameBytes } from "./fingerprint";
import { retryable } from "./sender";

describe("the rate", () => {
  it("is unknown at first", () => {
    const r = new Rate();
    expect(r.perSecond()).toBe(0);
    r.add(0, 0);
  });
  it("follows the last seconds, not the whole", () => {
    const r = new Rate(4000);
    for (let s = 0; s <= 10; s++) r.add(s * 1000, s * 1000);
    for (let s = 11; s <= 20; s++) r.add(s * 1000, 10_000 + (s - 10) * 5000);
    expect(r.perSecond()).toBeCloseTo(5000);
  });
  it("starts again when the server had less than we thought", () => {
    const r = new Rate();
    r.add(0, 0);
    r.add(1000, 900);
    r.add(2000, 500);
    expect(r.perSecond()).toBe(0);
    r.add(3000, 600);
    expect(r.perSecond()).toBeCloseTo(100);
  });
});

describe("the fingerprint", () => {
  it("hashes a small file whole and both ends of a large one", () => {
    expect(ends(10)).toEqual([[0, 10]]);
    expect(ends(2 * ENDS)).toEqual([[0, 2 * ENDS]]);
    expect(ends(5 * ENDS)).toEqual([
      [0, ENDS],
      [4 * ENDS, 5 * ENDS],
    ]);
  });
  const mark = fingerprint("a:b.mp4", 5, 7, "ff");
  it("is the same bytes under another name or time", () => {
    expect(sameBytes(mark, fingerprint("c.mp4", 5, 8, "ff"))).toBe(true);
  });
  it("is not another size or other contents, nor nothing", () => {
    expect(sameBytes(mark, fingerprint("a:b.mp4", 6, 7, "ff"))).toBe(false);
    expect(sameBytes(mark, fingerprint("a:b.mp4", 5, 7, "fe"))).toBe(false);
    expect(sameBytes("", "")).toBe(false);
    expect(sameBytes("v1:5", "v1:5")).toBe(false);
  });
  it("fits into the field of the API, whatever the name", () => {
    expect(fingerprint("👩‍👩‍👧‍👦".repeat(500), 2 ** 50, 2 ** 45, "f".repeat(64)).length).toBeLessThanOrEqual(300);
  });
});

it("repeats what may pass by itself, and nothing else", () => {
  expect([0, 408, 409, 423, 429, 500, 503].every(retryable)).toBe(true);
  expect([400, 401, 403, 404, 410, 413, 415].some(retryable)).toBe(false);
});
