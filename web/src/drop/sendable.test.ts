import { describe, expect, it } from "vitest";
import { announcedOf, sendable } from "./sendable";

const found = (path: string, text = "x") => {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return { file: new File([text], name, { type: "video/mp4" }), folder: path.slice(0, -name.length) };
};

describe("what is sent into a folder", () => {
  it("keeps the tree in its name", () => {
    expect(announcedOf(found("day 1/raw/a.mp4"), "mark")).toEqual({
      name: "day 1/raw/a.mp4",
      size: 1,
      content_type: "video/mp4",
      fingerprint: "mark",
    });
  });
  it("is neither empty nor a system's", () => {
    const all = [found("a.mp4"), found("x/.DS_Store"), found("Thumbs.db"), found("__MACOSX/a.mp4"), found("b.mp4", "")];
    const { good, litter, empty } = sendable(all);
    expect(good.map((f) => f.file.name)).toEqual(["a.mp4"]);
    expect([litter, empty]).toEqual([3, 1]);
  });
});
