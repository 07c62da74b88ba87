// What a content admin does on the Transfers page, and an admin with the hub's bandwidth.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { accessible, everywhere, expect, person, signIn, test, watch } from "./base.ts";
import { Desk } from "./desk.ts";
import { padded } from "./fixtures.ts";

interface Line {
  /** Limits what the page sends, so that there is a middle in which things can happen. */
  throttle(bytesPerSecond: number): Promise<unknown>;
  cut(): Promise<unknown>;
  /** Drops files and folders of this computer onto the page. */
  drop(files: string[]): Promise<void>;
}

async function lineOf(page: Page): Promise<Line> {
  const cdp = await page.context().newCDPSession(page); // one for all: of several, the first one's limit stays
  await cdp.send("Network.enable");
  const set = (offline: boolean, uploadThroughput: number) =>
    cdp.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput });
  return {
    throttle: (rate) => set(false, rate),
    cut: () => set(true, 0),
    drop: async (files) => {
      const data = { items: [], files, dragOperationsMask: 1 };
      for (const type of ["dragEnter", "dragOver", "drop"] as const) await cdp.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
    },
  };
}

/** Goes to something with the Tab key only, and presses a key there. */
async function press(target: Locator, key = "Enter"): Promise<void> {
  const page = target.page();
  await target.waitFor();
  for (let i = 0; i < 120 && !(await target.evaluate((e) => e === document.activeElement)); i++) await page.keyboard.press("Tab");
  await expect(target).toBeFocused();
  await page.keyboard.press(key);
}

const digest = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");

test("files are checked, sent, watched, capped, paused, put first, cancelled, found again and receipted", async ({ browser, server, files }) => {
  const { demo } = server;
  const own = { baseURL: demo.base_url, viewport: { width: 1280, height: 860 } };
  const context = await browser.newContext({ ...own, permissions: ["clipboard-read", "clipboard-write"] });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  const line = await lineOf(page);
  await signIn(page, server, person(server, "content_admin"));
  const row = (name: RegExp) => page.locator("li.upload[data-upload]").filter({ hasText: name });
  const [sphere, talk, small, wrong] = [/360°/, /Vortrag/, /Short note/, /Wrong take/];
  const [nothing, notes, tree] = ["nothing.mp4", "notes.txt", "Day 1"].map((n) => join(files.dir, n)) as [string, string, string];
  const talkFile = padded(files.small, join(files.dir, "Großer Vortrag.mp4"), 16_000_000);
  writeFileSync(nothing, "");
  writeFileSync(notes, "notes");
  mkdirSync(join(tree, "Camera B"), { recursive: true });
  padded(files.small, join(tree, "Wrong take.mp4"), 8_000_000);
  copyFileSync(files.small, join(tree, "Camera B", "Short note.mp4"));
  writeFileSync(join(tree, ".DS_Store"), "x");
  const list = page.getByRole("region", { name: "To be sent" });

  await test.step("the page is the first of the menu, and empty", async () => {
    const first = page.getByRole("navigation", { name: "Main" }).getByRole("link").first();
    await expect(first).toHaveText("Transfers");
    await first.click();
    await page.getByRole("combobox", { name: "Change hub" }).selectOption(demo.hub_id);
    await expect(page).toHaveURL(new RegExp(`/hubs/${demo.hub_id}/transfers`));
    await expect(page.getByRole("heading", { level: 1, name: "Transfers" })).toBeVisible();
    await expect(page.getByTestId("cap")).toContainText("no cap now");
  });

  await test.step("chosen, dropped with its folder, and pasted", async () => {
    await line.throttle(30_000); // slow enough for all that is done in the middle; a change would let a burst through
    const chooser = page.waitForEvent("filechooser");
    await press(page.getByRole("button", { name: /Choose files/ }));
    await (await chooser).setFiles([files.sphere, talkFile]);
    await line.drop([tree]);
    await expect(list.getByRole("row")).toHaveCount(5);
    await expect(list.locator('tr[data-file="Short note.mp4"]')).toContainText("Day 1/Camera B/");
    await expect(page.getByTestId("preflight-state")).toContainText("1 system file not listed");
    await expect(page.locator('tr[data-check="ok"]')).toHaveCount(4);
    // A picture from the clipboard; the same file again and an empty one are left out.
    await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(8, 8);
      canvas.getContext("2d")!.fillRect(0, 0, 8, 8);
      await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob() })]);
    });
    await page.keyboard.press("Control+V");
    await expect(list.locator('tr[data-file="image.png"]')).toHaveAttribute("data-check", "ok");
    await list.getByRole("button", { name: "Take image.png off the list" }).click();
    await page.getByLabel("Files to send").setInputFiles([files.small, nothing, notes]);
    await expect(page.locator('tr[data-check="bad"]')).toHaveCount(2);
  });

  await test.step("edited and sent, with the keyboard only", async () => {
    await press(page.getByLabel("Choose all"), "Space");
    await press(page.getByLabel("Add tags"), "End");
    await page.keyboard.type("sea, harbour");
    await press(page.getByLabel("Description of each"), "End");
    await page.keyboard.type("Summer school");
    await press(page.getByRole("button", { name: /^Apply to/ }));
    await list.getByLabel("Title of Short note.mp4").first().fill("A short note");
    await list.getByText("Speed: Fair, as fast as it goes").focus(); // beyond the fields of all rows
    await page.keyboard.press("Enter");
    await press(page.getByLabel("At most, Mbit/s"), "End");
    await page.keyboard.type("500");
    // The server refuses what is no medium; nothing of the batch begins.
    await press(list.getByRole("button", { name: /^Send 5 files to/ }));
    await expect(page.locator('tr[data-file="notes.txt"]')).toContainText("not accepted");
    await expect(row(/./)).toHaveCount(0);
    await press(list.getByRole("button", { name: /^Send 4 files to/ }));
    await expect(row(/./)).toHaveCount(4);
    await expect(page.getByRole("region", { name: "Files that are being sent" })).toBeFocused();
    await press(page.getByRole("button", { name: "Pause all" }), "Space");
    await expect(page.locator('li[data-phase="paused"]')).toHaveCount(4);
    for (const name of [talk, sphere]) await row(name).getByRole("button", { name: /^Resume/ }).press("Enter");
    await expect(row(talk)).toHaveAttribute("data-phase", "sending");
  });

  await test.step("an admin sees it run and caps it, while another one does", async () => {
    const theirs = await browser.newContext(own);
    const [admin, other] = [await theirs.newPage(), await theirs.newPage()];
    await signIn(admin, server, person(server, "admin"));
    for (const p of [admin, other]) await p.goto(`/hubs/${demo.hub_id}/settings/transfers`);
    const running = admin.getByRole("region", { name: "Transfers of the hub" }).getByRole("listitem").filter({ hasText: "Chrome on Linux" });
    await expect(running).toContainText(person(server, "content_admin").name!);
    await expect(running).toContainText(/\d+ kbit\/s .* left/);
    const cap = (p: Page) => p.getByLabel("Cap of the hub, Mbit/s");
    const save = (p: Page, name = "Save bandwidth") => p.getByRole("button", { name }).click();
    await cap(admin).fill("fast");
    await save(admin);
    await expect(cap(admin)).toHaveAttribute("aria-invalid", "true");
    await cap(admin).fill("500");
    await admin.getByRole("button", { name: "Add hours" }).click();
    const hours = admin.getByRole("group", { name: "Hours 1" });
    for (const day of ["Saturday", "Sunday"]) await hours.getByRole("checkbox", { name: day }).check();
    await hours.getByLabel("From").fill("00:00");
    await hours.getByLabel("To").fill("00:00");
    await hours.getByLabel("Cap, Mbit/s").fill("80");
    await admin.getByLabel("Content admins").fill("2");

    // Somebody else saves first: theirs is shown, ours is kept, and what we did not touch is theirs.
    await cap(other).fill("0.1");
    await other.getByLabel("Most for one transfer, Mbit/s").fill("90");
    await save(other);
    await expect(running).toContainText("limited by the hub's cap");
    await expect(page.getByTestId("cap")).toContainText("at most 100 kbit/s now");
    await save(admin);
    const clash = admin.getByRole("alert").filter({ hasText: "Somebody else saved meanwhile" });
    await expect(clash.getByRole("row", { name: /^Cap of the hub/ })).toContainText("100 kbit/s500 Mbit/s");
    await expect(cap(admin)).toHaveValue("500");
    await expect(admin.getByLabel("Most for one transfer, Mbit/s")).toHaveValue("90");
    await everywhere(admin, "the bandwidth settings, saved by somebody else, with a running transfer", "bandwidth");
    await save(admin, "Save mine");
    await expect(admin.getByTestId("cap")).toContainText("at most 80 Mbit/s now");
    // The other one takes ours.
    await cap(other).fill("200");
    await save(other);
    await other.getByRole("button", { name: "Take theirs" }).click();
    await expect(cap(other)).toHaveValue("500");
    await expect(page.getByTestId("cap")).toContainText("at most 80 Mbit/s now");
    await expect(page.getByTestId("cap")).toContainText("otherwise at most 500 Mbit/s");
    await theirs.close();
  });

  await test.step("another hub than last time", async () => {
    await page.getByRole("combobox", { name: "Change hub" }).selectOption(demo.unconnected_hub_id);
    await expect(page.getByText("Another hub than last time.")).toBeVisible();
    await page.getByRole("link", { name: /^Go to/ }).click();
    await expect(page).toHaveURL(new RegExp(`/hubs/${demo.hub_id}/transfers`));
  });

  await test.step("cancel, send first", async () => {
    await row(wrong).getByRole("button", { name: /^Cancel/ }).click();
    await expect(row(wrong)).toHaveCount(0);
    // Of two that run, one is put first and has the line for itself.
    await expect(row(talk)).toHaveAttribute("data-phase", "sending");
    await row(sphere).getByRole("button", { name: /^Send first/ }).click();
    await expect(row(talk)).toHaveAttribute("data-phase", "queued");
    await expect(row(sphere)).toContainText("First");
    await row(sphere).getByRole("button", { name: /^Pause/ }).click();
    await row(small).getByRole("button", { name: /^Resume/ }).click();
    await expect(row(small)).toHaveAttribute("data-phase", /server|ready/);
    await expect(row(talk)).toHaveAttribute("data-phase", "sending");
    await expect(row(talk)).toContainText(/(^|\D)[1-9]\d? % of .*bit\/s/);
    await expect(row(talk)).toContainText("HTTP/1.1");
    await expect(page.getByTestId("totals")).toContainText("2 to go");
    await expect(page).toHaveTitle(/^\d+ % · Transfers/);
    await expect(page.locator('link[rel="icon"]')).toHaveAttribute("href", /^data:image\/svg/);
    await expect(page.getByRole("img", { name: /^Rate/ })).toBeVisible();
    await page.getByLabel("Choose all").check();
    await everywhere(page, "the list before the start and files on their way", "transfers-sending");
    await page.getByRole("button", { name: "Empty the list" }).click();
    await expect(list).toHaveCount(0);
  });

  await test.step("a reload in the middle, and the file again", async () => {
    page.once("dialog", (d) => void d.accept()); // bytes would be lost: the page asks
    await page.reload();
    const unfinished = page.getByRole("region", { name: /^Unfinished uploads/ });
    await expect(unfinished.getByRole("listitem")).toHaveCount(2);
    await expect(row(talk)).toContainText(/Stopped at \d+ %/);
    await row(talk).locator('input[type="file"]').setInputFiles(files.small);
    await expect(row(talk).getByRole("alert")).toContainText("another size");
    await everywhere(page, "unfinished uploads and a receipt", "transfers-unfinished");
    // Chosen like a new file, it is known by its contents and goes on.
    await page.getByLabel("Files to send").setInputFiles([talkFile, files.sphere]);
    await expect(page.locator("tr[data-file]").first()).toContainText(/Goes on where it stopped: [1-9][\d.]* [kM]B of 16 MB are there/);
    await page.getByRole("button", { name: /^Send 2 files to/ }).click();
    await expect(unfinished).toHaveCount(0);
    await expect(row(talk)).toHaveAttribute("data-phase", "sending");
  });

  await test.step("offline, and back", async () => {
    await line.cut();
    await expect(page.getByText("You are offline.")).toBeVisible();
    await expect(row(talk)).toContainText("as soon as you are online again");
    await line.throttle(60_000_000);
    await expect(page.getByText("You are offline.")).toHaveCount(0);
    for (const name of [talk, sphere]) await expect(row(name)).toHaveAttribute("data-phase", /server|ready/);
  });

  await test.step("receipts", async () => {
    const receipts = page.getByRole("region", { name: "Receipts" });
    for (const file of [talkFile, files.small, files.sphere]) await expect(receipts).toContainText(digest(file));
    const download = page.waitForEvent("download");
    await receipts.getByRole("button", { name: /^CSV/ }).click();
    const csv = readFileSync((await (await download).path())!, "utf8");
    for (const file of [talkFile, files.small, files.sphere]) expect(csv).toMatch(new RegExp(`^upl_.*${digest(file)}.*,Chrome on Linux,`, "m"));
  });
  expect(complaints).toEqual([]);
  await context.close();
});

test("files of a folder go by the agent, which the page was paired with", async ({ browser, server, files }) => {
  const hub = server.demo.hub_id;
  const desk = new Desk(server.demo.base_url);
  const context = await browser.newContext({ baseURL: server.demo.base_url, viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  try {
    mkdirSync(join(desk.folder, "Day 1"));
    copyFileSync(files.sphere, join(desk.folder, "Courtyard.mp4"));
    copyFileSync(files.small, join(desk.folder, "Day 1", "Arrival.mp4"));
    await desk.run();
    await signIn(page, server, person(server, "participant"));
    await page.goto(`/hubs/${hub}/transfers`);
    await page.getByText("Set it up").click();
    const asked = await desk.code();
    await page.getByLabel("Code of the agent").fill("nonsense");
    await page.getByRole("button", { name: "Pair" }).click();
    await expect(page.getByRole("alert")).toContainText("not a code");
    await page.getByLabel("Code of the agent").fill(asked.code);
    await page.getByRole("button", { name: "Pair" }).click();

    await page.getByRole("button", { name: "Sign the agent in" }).click();
    const opened = context.waitForEvent("page");
    await page.getByRole("link", { name: "the page for devices" }).click();
    const device = await opened;
    await device.getByRole("button", { name: "Continue" }).click();
    await device.locator(`input[name=hub][value=${hub}]`).check();
    await device.getByRole("button", { name: "Allow", exact: true }).click();
    await expect(device.getByText("Your device goes on by itself")).toBeVisible();
    await device.close();

    // Folders are open by themselves where the agent has no dialog of the system.
    const folders = page.getByRole("group", { name: "Folders of the agent" });
    const summary = page.getByText("From the folders that are open");
    await expect(summary).toBeVisible();
    if (!(await folders.isVisible())) await summary.click();
    await folders.getByRole("button", { name: "Open Day 1" }).click();
    await folders.getByLabel("Arrival.mp4").check();
    await folders.getByRole("button", { name: /^Add 1/ }).click();
    await folders.getByRole("button", { name: "Up" }).click();
    await folders.getByLabel("Courtyard.mp4").check();
    await folders.getByRole("button", { name: /^Add 1/ }).click();
    await everywhere(page, "the agent's card", "agent-card");
    await page.getByRole("button", { name: /^Send 2 files to/ }).click();
    const queue = page.getByRole("list", { name: "Queue of the agent" });
    await expect(queue.locator('[data-state="done"]')).toHaveCount(1);
    const receipts = page.getByRole("region", { name: "Receipts" });
    await expect(receipts).toContainText(digest(files.sphere));
    // Over the fast path and the agent it became what it is in the platform: an entry, known to be 360.
    await expect(page.locator("li.upload[data-phase=ready]").filter({ hasText: "Courtyard.mp4" })).toContainText("360°", { timeout: 60_000 });
    await accessible(page, "the agent's queue");
    await page.getByRole("button", { name: "Unpair" }).click();
    await expect(page.getByText("Set it up")).toBeVisible();
  } finally {
    await context.close();
    await desk.close();
  }
});
