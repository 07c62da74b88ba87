// What a content admin does on the Transfers page, and an admin with the hub's bandwidth.
import { createHash, randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { accessible, everywhere, expect, person, signIn, test, watch } from "./base.ts";
import { Desk } from "./desk.ts";

/** Limits what the page sends, so that there is a middle in which things can happen. */
async function throttled(page: Page): Promise<(bytesPerSecond: number) => Promise<unknown>> {
  const cdp = await page.context().newCDPSession(page); // one for all: of several, the first one's limit stays
  await cdp.send("Network.enable");
  return (uploadThroughput) => cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
}

test("files are checked, sent, paused, put first, cancelled, found again and receipted", async ({ browser, server, files }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url, viewport: { width: 1280, height: 860 }, acceptDownloads: true });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  const throttle = await throttled(page);
  await signIn(page, server, person(server, "content_admin"));
  const row = (name: RegExp) => page.locator("li.upload[data-upload]").filter({ hasText: name });
  const [sphere, large, small, wrong] = [/360°/, /Vortrag/, /Short note/, /Wrong take/];

  await test.step("the page is the first of the menu, and empty", async () => {
    const first = page.getByRole("navigation", { name: "Main" }).getByRole("link").first();
    await expect(first).toHaveText("Transfers");
    await first.click();
    await page.getByRole("combobox", { name: "Change hub" }).selectOption(demo.hub_id);
    await expect(page).toHaveURL(new RegExp(`/hubs/${demo.hub_id}/transfers`));
    await expect(page.getByRole("heading", { level: 1, name: "Transfers" })).toBeVisible();
    await expect(page.getByTestId("cap")).toContainText("no cap now");
    await everywhere(page, "the empty page", "transfers-empty");
  });

  await test.step("the list before the start", async () => {
    await throttle(100_000); // slow enough for all that is done in the middle; a change would let a burst through
    const [wrong, nothing, notes] = ["Wrong take.mp4", "nothing.mp4", "notes.txt"].map((n) => join(files.dir, n)) as [string, string, string];
    writeFileSync(wrong, Buffer.concat([readFileSync(files.small), randomBytes(4_000_000)]));
    writeFileSync(nothing, "");
    writeFileSync(notes, "notes");
    // With the keyboard: the zone is a button that opens the chooser.
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: /Choose files/ }).focus();
    await page.keyboard.press("Enter");
    await (await chooser).setFiles([files.sphere, files.large, wrong, files.small]);
    const list = page.getByRole("region", { name: "To be sent" });
    await expect(list.getByRole("row")).toHaveCount(5);
    await expect(page.locator('tr[data-check="ok"]')).toHaveCount(4);
    // The same file again and an empty one are left out.
    await page.getByLabel("Files to send").setInputFiles([files.small, nothing, notes]);
    await expect(page.locator('tr[data-check="bad"]')).toHaveCount(2);
    await page.getByLabel("Choose all").check();
    await page.getByLabel("Add tags").fill("sea, harbour");
    await page.getByRole("button", { name: /^Apply to/ }).click();
    await page.getByLabel("Title of Short note.mp4").first().fill("A short note");
    await everywhere(page, "the list before the start", "transfers-preflight");
    // The server refuses what is no medium; nothing of the batch begins.
    await list.getByRole("button", { name: /^Send 5 files to/ }).click();
    await expect(page.locator('tr[data-file="notes.txt"]')).toContainText("not accepted");
    await expect(row(/./)).toHaveCount(0);
    await list.getByRole("button", { name: /^Send 4 files to/ }).click();
    await expect(row(/./)).toHaveCount(4);
    await page.getByRole("button", { name: "Empty the list" }).click();
    await expect(list).toHaveCount(0);
  });

  await test.step("pause, send first, cancel", async () => {
    await page.getByRole("button", { name: "Pause all" }).click();
    await expect(page.locator('li[data-phase="paused"]')).toHaveCount(4);
    await row(wrong).getByRole("button", { name: /^Cancel/ }).click();
    await expect(row(wrong)).toHaveCount(0);
    // Two go on; one of them is put first and has the line for itself.
    await row(large).getByRole("button", { name: /^Resume/ }).click();
    await row(sphere).getByRole("button", { name: /^Resume/ }).click();
    await expect(row(large)).toHaveAttribute("data-phase", "sending");
    await row(sphere).getByRole("button", { name: /^Send first/ }).click();
    await expect(row(large)).toHaveAttribute("data-phase", "queued");
    await expect(row(sphere)).toContainText("First");
    await row(sphere).getByRole("button", { name: /^Pause/ }).click();
    await row(small).getByRole("button", { name: /^Resume/ }).click();
    await expect(row(small)).toHaveAttribute("data-phase", /server|ready/);
    await expect(row(large)).toHaveAttribute("data-phase", "sending");
    await everywhere(page, "files on their way", "transfers-sending");
    await expect(row(large)).toContainText(/(^|\D)[1-9]\d? % of/);
    await expect(page.getByTestId("totals")).toContainText("2 to go");
    await expect(page).toHaveTitle(/^\d+ % · Transfers/);
    await expect(page.getByRole("img", { name: /^Rate/ })).toBeVisible();
  });

  await test.step("a reload in the middle, and the file again", async () => {
    page.once("dialog", (d) => void d.accept()); // bytes would be lost: the page asks
    await page.reload();
    const unfinished = page.getByRole("region", { name: /^Unfinished uploads/ });
    await expect(unfinished.getByRole("listitem")).toHaveCount(2);
    await expect(row(large)).toContainText(/Stopped at \d+ %/);
    await everywhere(page, "unfinished uploads", "transfers-unfinished");
    await row(large).locator('input[type="file"]').setInputFiles(files.small);
    await expect(row(large).getByRole("alert")).toContainText("another size");
    // Chosen like a new file, it is known by its contents and goes on.
    await page.getByLabel("Files to send").setInputFiles([files.large, files.sphere]);
    await expect(page.locator("tr[data-file]").first()).toContainText(/Goes on where it stopped: [1-9][\d.]* [kM]B of 67 MB are there/);
    await page.getByRole("button", { name: /^Send 2 files to/ }).click();
    await expect(unfinished).toHaveCount(0);
    await throttle(60_000_000);
    for (const name of [large, sphere]) await expect(row(name)).toHaveAttribute("data-phase", /server|ready/);
  });

  await test.step("receipts", async () => {
    const receipts = page.getByRole("region", { name: "Receipts" });
    const digest = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
    for (const file of [files.large, files.small, files.sphere]) await expect(receipts).toContainText(digest(file));
    const download = page.waitForEvent("download");
    await receipts.getByRole("button", { name: /^CSV/ }).click();
    const csv = readFileSync((await (await download).path())!, "utf8");
    expect(csv).toContain(digest(files.large));
    expect(csv.trim().split("\r\n")).toHaveLength(4);
    await everywhere(page, "receipts", "transfers-receipts");
  });
  expect(complaints).toEqual([]);
  await context.close();
});

test("an admin sets a cap, which people see in words", async ({ browser, server }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url, viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  await signIn(page, server, person(server, "admin"));
  await page.goto(`/hubs/${demo.hub_id}/settings/transfers`);
  const cap = page.getByLabel("Cap of the hub, Mbit/s");
  await cap.fill("fast");
  await page.getByRole("button", { name: "Save bandwidth" }).click();
  await expect(cap).toHaveAttribute("aria-invalid", "true");
  await cap.fill("500");
  await page.getByRole("button", { name: "Add hours" }).click();
  const hours = page.getByRole("group", { name: "Hours 1" });
  for (const day of ["Saturday", "Sunday"]) await hours.getByRole("checkbox", { name: day }).check();
  await hours.getByLabel("From").fill("00:00");
  await hours.getByLabel("To").fill("00:00");
  await hours.getByLabel("Cap, Mbit/s").fill("80");
  await page.getByLabel("Content admins").fill("2");
  await accessible(page, "the form");
  await page.getByRole("button", { name: "Save bandwidth" }).click();
  await expect(page.getByTestId("cap")).toContainText("at most 80 Mbit/s now");
  await everywhere(page, "the bandwidth settings", "bandwidth");
  await page.goto(`/hubs/${demo.hub_id}/transfers`);
  await expect(page.getByTestId("cap")).toContainText("at most 80 Mbit/s now");
  await expect(page.getByTestId("cap")).toContainText("otherwise at most 500 Mbit/s");
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
    await expect(receipts).toContainText(createHash("sha256").update(readFileSync(files.sphere)).digest("hex"));
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
