import { describe, expect, it } from "vitest";
import type { Transfer, TransferAccount, Upload } from "../api";
import { bits, pace } from "../format";
import { newItem } from "../upload/machine";
import {
  accountBody,
  accountChanges,
  accountDraft,
  accountProblems,
  checkAccount,
  differences,
  rateTyped,
  withChanges,
} from "./account";
import { ceiling, points } from "./graph";
import { checks, hidesSomething, pointedAt, type Row, tagsOf, titled, titleOf, withoutLitter } from "./preflight";
import { csv, receiptOf } from "./report";
import { asTheHubSays, speedBody, speedProblem } from "./speed";
import { capLater, capNow, dayWords, deviceName, hoursWords, transferWords } from "./words";

const account: TransferAccount = {
  etag: '"v1"',
  cap_bps: 500e6,
  cap_now_bps: 100e6,
  default_policy: "fair",
  policies: ["fair", "low"],
  schedule: [{ days: ["mon", "tue", "wed", "thu", "fri"], from: "08:00", to: "18:00", cap_bps: 100e6 }],
  time_zone: "Europe/Berlin",
  weights: { admin: 1, content_admin: 2, participant: 1, app: 1 },
};

describe("words", () => {
  it("rates", () => {
    expect([0, 8000, 2.5e6, 94e6, 100e6, 1e9, 1.25e9].map(bits)).toEqual([
      "0 bit/s",
      "8 kbit/s",
      "2.5 Mbit/s",
      "94 Mbit/s",
      "100 Mbit/s",
      "1 Gbit/s",
      "1.3 Gbit/s",
    ]);
  });
  it("paces", () => {
    expect(pace(11.75e6, 1.4e9)).toEqual(["94 Mbit/s", "about 2 minutes left"]);
    expect(pace(0, 5)).toEqual([]);
  });
  it("days", () => {
    expect(dayWords(["mon", "tue", "wed", "thu", "fri"])).toBe("Mon–Fri");
    expect(dayWords(["sun", "sat", "mon"])).toBe("Mon, Sat, Sun");
    expect(dayWords(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])).toBe("Every day");
  });
  it("caps", () => {
    expect(capNow(account)).toContain("at most 100 Mbit/s now");
    expect(capNow({ ...account, cap_now_bps: 0 })).toContain("no cap");
    expect(capLater(account)).toBe(
      "Mon–Fri 08:00–18:00: at most 100 Mbit/s; otherwise at most 500 Mbit/s (Europe/Berlin time).",
    );
    expect(capLater({ ...account, schedule: [] })).toBe("");
    expect(hoursWords({ days: ["sat"], from: "22:00", to: "06:00", cap_bps: 0 })).toBe(
      "Sat 22:00–06:00 (next day): no cap",
    );
    expect(hoursWords({ days: ["sun"], from: "00:00", to: "00:00", cap_bps: 0 })).toBe("Sun all day: no cap");
  });
  it("how a transfer goes", () => {
    const t = (live: Partial<Transfer["live"]>, more: Partial<Transfer> = {}): Transfer => ({
      id: "trf_1",
      state: "open",
      policy: "fair",
      first: false,
      files: 3,
      files_done: 1,
      size: 2e9,
      received: 6e8,
      mine: true,
      live: { path: "quic", rate_bps: 94e6, paused: false, ...live },
      created_at: "2026-11-21T10:00:00Z",
      updated_at: "2026-11-21T10:00:00Z",
      ...more,
    });
    expect(transferWords(t({ rtt_ms: 201.5, loss: 0.02, limited_by: "cap" }))).toBe(
      "2 of 3 files to go · 94 Mbit/s · about 2 minutes left · 202 ms away · 2.0 % lost · limited by the hub's cap",
    );
    expect(transferWords(t({ path: "none" }))).toContain("nobody is sending");
    expect(transferWords(t({ paused: true }))).toContain("paused by its sender");
    // Words for limits that a newer server adds are missing, not wrong.
    expect(transferWords(t({ limited_by: "moon" as "cap" }))).toBe(
      "2 of 3 files to go · 94 Mbit/s · about 2 minutes left",
    );
    expect(transferWords(t({ limited_by: "sender" as "cap" }))).toContain("by the sending computer");
    expect(transferWords(t({}, { state: "done" }))).toBe("Done, 3 files");
  });
  it("devices", () => {
    expect(deviceName("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140 Safari/537.36")).toBe(
      "Chrome on Linux",
    );
    expect(deviceName("something else")).toBe("Browser");
  });
});

describe("the account's form", () => {
  it("reads rates as people type them", () => {
    expect([" 100 ", "2,5", "", "0.008"].map(rateTyped)).toEqual([100e6, 2.5e6, 0, 8000]);
    for (const bad of ["-1", "1e9", "fast", "1.2345"]) expect(rateTyped(bad), bad).toBeNaN();
  });
  it("gives back what it was given", () => {
    const { etag, cap_now_bps, ...rest } = account;
    expect(accountBody(accountDraft(account))).toEqual({ ...rest, max_rate_bps: 0 });
    expect(checkAccount(accountDraft(account))).toEqual({});
  });
  it("sends what was changed, and keeps it beside what somebody else saved", () => {
    expect(accountChanges(accountDraft(account), account)).toEqual({});
    const mine = accountChanges({ ...accountDraft(account), cap: "50", policies: ["fair"] }, account);
    expect(mine).toEqual({ cap_bps: 50e6, policies: ["fair"] });
    const theirs = { ...account, cap_bps: 80e6, policies: ["fair" as const], max_rate_bps: 20e6, schedule: [] };
    expect(withChanges(theirs, mine)).toMatchObject({ cap_bps: 50e6, max_rate_bps: 20e6, schedule: [] });
    expect(differences(mine, theirs)).toEqual([{ name: "Cap of the hub", mine: "50 Mbit/s", theirs: "80 Mbit/s" }]);
    const other = { max_rate_bps: 0, schedule: account.schedule, weights: account.weights };
    expect(differences(other, theirs).map((x) => [x.mine, x.theirs])).toEqual([
      ["none", "20 Mbit/s"],
      ["Mon–Fri 08:00–18:00: at most 100 Mbit/s", "none"],
    ]);
  });
  it("finds what is wrong, and where the server says so", () => {
    const d = {
      ...accountDraft(account),
      cap: "much",
      policies: ["low" as const],
      weights: { ...accountDraft(account).weights, app: "0" },
    };
    const h = d.schedule[0]!;
    d.schedule = [{ ...h, days: [], to: "", cap: "x" }];
    expect(Object.keys(checkAccount(d)).sort()).toEqual(
      ["cap", `hours-${h.id}-cap`, `hours-${h.id}-days`, `hours-${h.id}-to`, "policy", "weights-app"].sort(),
    );
    const p = {
      fields: [
        { pointer: "/schedule/0/from", detail: "a" },
        { pointer: "/weights/app", detail: "b" },
        { pointer: "/schedule/7", detail: "c" },
      ],
    };
    expect(accountProblems(p, d)).toEqual({ [`hours-${h.id}-from`]: "a", "weights-app": "b" });
  });
});

describe("the list before the start", () => {
  let n = 0;
  const row = (name: string, mark: string, more: Partial<Row> = {}): Row => ({
    id: ++n,
    file: new File(["x"], name, { type: "video/mp4" }),
    folder: "",
    title: "",
    tags: "",
    description: "",
    mark: mark && `v1:1:7:${mark}:${name}`,
    refused: "",
    ...more,
  });
  const upload = (state: Upload["state"], mark: string): Upload => ({
    id: `upl_${mark}`,
    name: "a.mp4",
    title: "a",
    tags: [],
    size: 1,
    offset: 0,
    state,
    progress: 0,
    tus_url: "",
    fingerprint: `v1:1:3:${mark}:other name`,
    mine: true,
    is_360: false,
    suggest_360: false,
    created_at: "2026-11-21T10:00:00Z",
    updated_at: "2026-11-21T10:00:00Z",
    expires_at: "2026-12-21T10:00:00Z",
  });

  it("tells new, known, unfinished, doubled and hopeless files apart", () => {
    const running = { ...newItem("k", "a.mp4", 1), id: "upl_run", upload: upload("receiving", "run") };
    const lost = { ...newItem("l", "a.mp4", 1), id: "upl_part", upload: upload("receiving", "part"), hasFile: false };
    const rows = [
      row("new.mp4", "new"),
      row("again.mp4", "new"),
      row("half.mp4", "part"),
      row("run.mp4", "run"),
      row("old.mp4", "old"),
      row("unread.mp4", ""),
      row("empty.mp4", "e", { file: new File([], "empty.mp4") }),
      row("refused.mp4", "r", { refused: "Too large." }),
      row("no\u202egnp.mp4", "h"),
      row("text.txt", "t", { file: new File(["x"], "text.txt", { type: "text/plain" }) }),
    ];
    const out = checks(rows, [running, lost], [upload("ready", "old"), upload("ready", "part")]);
    expect(rows.map((r) => out.get(r.id)!.tone)).toEqual([
      "ok",
      "bad",
      "ok",
      "bad",
      "warn",
      "reading",
      "bad",
      "bad",
      "warn",
      "warn",
    ]);
    expect(out.get(rows[2]!.id)!.continues?.id).toBe("upl_part");
    expect(out.get(rows[0]!.id)!.continues).toBeUndefined();
    expect(out.get(rows[7]!.id)!.text).toBe("Too large.");
  });
  it("leaves out what the hub's quota has no room for", () => {
    const rows = [row("a.mp4", "a"), row("b.mp4", "b"), row("half.mp4", "part")];
    const part = { ...newItem("l", "a.mp4", 1), id: "upl_part", upload: upload("receiving", "part"), hasFile: false };
    const out = checks(rows, [part], [], 1);
    expect(rows.map((r) => out.get(r.id)!.tone)).toEqual(["ok", "bad", "ok"]);
    expect(out.get(rows[1]!.id)!.text).toContain("0 B are left");
  });
  it("makes titles and tags", () => {
    expect(titleOf("  A\u202e walk\t2.mp4")).toBe("A walk 2");
    expect(titleOf("Dr. Who")).toBe("Dr. Who");
    expect(titleOf(".hidden")).toBe(".hidden");
    expect(hidesSomething("plain – ünï.mp4")).toBe(false);
    expect(titled("Talk {n}: {name}", "intro.mov", 3)).toBe("Talk 3: intro");
    expect(tagsOf(" sea, beach ,, sea")).toEqual(["sea", "beach"]);
  });
  it("leaves out what systems put into folders", () => {
    const f = (name: string, folder = "") => ({ file: new File(["x"], name), folder });
    const { kept, dropped } = withoutLitter([f("a.mp4"), f(".DS_Store"), f("Thumbs.db"), f("b.mp4", "__MACOSX/x/")]);
    expect(kept.map((k) => k.file.name)).toEqual(["a.mp4"]);
    expect(dropped).toBe(3);
  });
  it("reads where a refusal points", () => {
    expect(pointedAt("/files/12/size")).toEqual({ list: "files", index: 12 });
    expect(pointedAt("/upload_ids/0")).toEqual({ list: "upload_ids", index: 0 });
    expect(pointedAt("/device")).toBeNull();
  });
});

describe("the speed of a transfer", () => {
  it("is said to the API only where it differs from the usual", () => {
    expect(speedBody(asTheHubSays)).toEqual({});
    expect(speedBody({ policy: "low", rate: "2,5" })).toEqual({ policy: "low", rate_bps: 2.5e6 });
  });
  it("must be a rate, and one for fixed", () => {
    expect(speedProblem(asTheHubSays)).toBeUndefined();
    expect(speedProblem({ policy: "fixed", rate: "20" })).toBeUndefined();
    for (const bad of ["fast", "0.001", "-1"]) expect(speedProblem({ policy: "", rate: bad }), bad).toBeTruthy();
    expect(speedProblem({ policy: "fixed", rate: "" })).toContain("rate");
  });
});

describe("receipts", () => {
  it("are safe and whole in a spreadsheet", () => {
    const u = {
      id: "upl_1",
      name: '=cmd|"x", y.mp4',
      title: "a",
      size: 5,
      state: "ready",
      sha256: "ab",
      created_at: "2026-11-21T10:00:00Z",
      finished_at: "2026-11-21T10:01:30Z",
    } as Upload;
    const r = receiptOf(u, "Hub", "p@example.org");
    expect(r.seconds).toBe(90);
    const lines = csv([r]).split("\r\n");
    expect(lines[0]).toBe(`\ufeff${Object.keys(r).join(",")}`);
    expect(lines[1]).toContain(`"'=cmd|""x"", y.mp4"`);
    expect(lines).toHaveLength(3);
    expect(csv([])).toBe("");
  });
});

describe("the graph", () => {
  it("has a round top and ends at the right", () => {
    expect([0, 1, 3e6, 12e6, 1e7].map(ceiling)).toEqual([1, 1, 5e6, 2e7, 1e7]);
    const at = 1_000_000;
    expect(
      points(
        [
          { at: at - 60_000, v: 0 },
          { at, v: 10 },
        ],
        at,
        20,
        120,
      ),
    ).toBe("300.0,120.0 600.0,60.0");
  });
});
