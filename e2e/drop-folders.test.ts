// What a content admin does on the page of drop folders: make one, fill it, watch it, mend what is held up.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { accessible, everywhere, expect, person, signIn, test, watch } from "./base.ts";
import { padded } from "./fixtures.ts";

const item = (body: string) => `<?xml version="1.0" encoding="UTF-8"?>\n<mrss version="1.0">\n  <channel>\n    <item>\n${body}    </item>\n  </channel>\n</mrss>\n`;

const describing = item(`      <action>add</action>
      <type>1</type>
      <referenceId>jetty-1</referenceId>
      <name>Jetty tour</name>
      <tags>
        <tag>quay</tag>
      </tags>
      <media>
        <mediaType>1</mediaType>
      </media>
      <contentAssets>
        <content>
          <dropFolderFileContentResource filePath="jetty.mp4"/>
        </content>
      </contentAssets>
`);

const mistaken = item(`      <action>update</action>
      <referenceId>jetty-1</referenceId>
      <nmae>Jetty tour by night</nmae>
`);

const tab = (page: Page, name: string | RegExp) => page.getByRole("tab", { name });
const row = (page: Page, name: string): Locator => page.locator("tr[data-file]").filter({ hasText: name });
const slow = { timeout: 120_000 };

test("drop folders", async ({ browser, server, files }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url, viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  const at = `/hubs/${demo.hub_id}/drop-folders`;
  const beach = padded(files.small, join(files.dir, "beach.mp4"), 1000);
  const jetty = padded(files.small, join(files.dir, "jetty.mp4"), 2000);
  const write = (name: string, text: string) => {
    const path = join(files.dir, name);
    writeFileSync(path, text);
    return path;
  };

  await test.step("a folder, by keyboard", async () => {
    await signIn(page, server, person(server, "content_admin"));
    await page.goto(`/hubs/${demo.hub_id}/library`); // of the two hubs the one that is connected
    await page.getByRole("link", { name: "Drop folders" }).press("Enter");
    await expect(page).toHaveURL(new RegExp(at));
    await page.getByRole("button", { name: "New folder" }).press("Enter");
    const form = page.getByRole("dialog", { name: "New drop folder" });
    await form.getByRole("button", { name: "Make folder" }).press("Enter");
    await expect(form.getByLabel("Name", { exact: true })).toBeFocused(); // it is marked as missing
    await page.keyboard.type("Newsroom");
    await form.getByText("Entries that exist, and reference ids").press("Enter");
    await form.getByLabel("Expression that finds it in the name").fill("(?P<referenceId>[a-z]+)-\\d+");
    await expect(form.getByTestId("slug-try")).toHaveText("Reference id tour");
    await form.getByLabel("Try it with a name").fill("42.mp4");
    await expect(form.getByTestId("slug-try")).toContainText("quarantined");
    await form.getByLabel("Expression that finds it in the name").fill("");
    await everywhere(page, "the form of a drop folder", "drop-form");
    await form.getByRole("button", { name: "Make folder" }).click();
    await expect(page.getByRole("heading", { name: "Newsroom" })).toBeVisible();
  });

  const card = page.locator("li[data-folder]").filter({ hasText: "Newsroom" });
  const watched = page.locator("li[data-folder]").filter({ hasText: "Watched directory" });
  await test.step("tested, looked into, paused and resumed; what Kaltura has itself", async () => {
    // Found by the watch meanwhile, and ready when it is wanted below.
    copyFileSync(padded(files.small, join(files.dir, "lake.mp4"), 3000), join(demo.drop_folder.path, "lake.mp4"));
    await watched.getByRole("button", { name: "Test Demo" }).press("Enter");
    await expect(watched.locator("ul.checks li").first()).toHaveClass("ok");
    await watched.getByRole("button", { name: "Look now into Demo" }).press("Enter");
    await expect(page.locator(".toast")).toHaveText("Demo is being looked at.");
    await card.getByRole("button", { name: "Pause Newsroom" }).press("Enter");
    await expect(card.locator('[data-health="paused"]')).toContainText("takes no more files");
    await expect(card.getByRole("button", { name: "Upload files into Newsroom" })).toBeDisabled();
    await card.getByRole("button", { name: "Resume Newsroom" }).press("Enter");
    await expect(card.getByRole("button", { name: "Upload files into Newsroom" })).toBeEnabled();
    const own = page.getByRole("region", { name: "Kaltura's own drop folders" });
    await own.getByText("Files", { exact: false }).last().click();
    await expect(own).toContainText("No files.");
    // What Kaltura could not read is told in its own words.
    writeFileSync(join(server.demo.kaltura.drop_folder_path, "broken.xml"), "not xml at all");
    await own.getByText("XML that Kaltura read from them").click();
    const told = own.locator("[data-remote-manifest]").filter({ hasText: "broken.xml" });
    await expect(async () => {
      await own.getByRole("button", { name: "Look again" }).last().click();
      await expect(told).toContainText("Start tag expected, '<' not found", { timeout: 2000 });
    }).toPass(slow);
    await own.getByRole("checkbox", { name: "Only what Kaltura could not take" }).check();
    await expect(own.locator("[data-remote-file]").filter({ hasText: "broken.xml" })).toContainText("ERROR_IN_BULK_UPLOAD");
    await accessible(page, "Kaltura's own drop folders");
  });

  await test.step("two files and an XML become entries", async () => {
    await card.getByText("Ways in").click();
    await expect(card).toContainText("isthmusctl send --folder");
    // The manifest first: nobody knows then that its file comes, and it waits for it by name.
    await card.getByLabel("Files for Newsroom").setInputFiles([write("tour.xml", describing)]);
    await tab(page, "Files").click();
    await expect(row(page, "tour.xml")).toContainText("jetty.mp4", slow);
    await tab(page, "Folders").click();
    await card.getByLabel("Files for Newsroom").setInputFiles([beach, jetty]);
    await tab(page, "Files").click();
    for (const name of ["beach.mp4", "jetty.mp4", "tour.xml"]) await expect(row(page, name)).toHaveAttribute("data-state", "ready", slow);
    await expect(row(page, "beach.mp4").getByRole("link")).toHaveAttribute("href", /media=/);
    await everywhere(page, "the files of drop folders", "drop-files");
  });

  await test.step("a folder of this computer keeps its tree", async () => {
    const tree = join(files.dir, "tour 2026");
    mkdirSync(join(tree, "night"), { recursive: true });
    padded(files.small, join(tree, "night", "pier.mp4"), 4000);
    await tab(page, "Folders").click();
    await card.getByLabel("Folder for Newsroom").setInputFiles(tree);
    await tab(page, "Files").click();
    await expect(row(page, "pier.mp4")).toHaveAttribute("data-state", /importing|processing|ready/, slow);
    await expect(row(page, "pier.mp4")).toContainText("tour 2026/night/");
  });

  await test.step("a file's history", async () => {
    await row(page, "tour.xml").getByRole("button", { name: "tour.xml" }).press("Enter");
    const detail = page.getByRole("dialog", { name: "tour.xml" });
    await expect(detail.getByRole("list", { name: "What happened" }).getByRole("listitem").last()).toContainText("Ready");
    await expect(detail.getByRole("list", { name: "Items" })).toContainText("Jetty tour");
    await everywhere(page, "a manifest's history and items", "drop-detail");
    await page.keyboard.press("Escape");
    await expect(detail).toHaveCount(0);
    await expect(row(page, "tour.xml").getByRole("button", { name: "tour.xml" })).toBeFocused();
  });

  await test.step("filters, a saved view, CSV", async () => {
    await page.getByLabel("Type", { exact: true }).selectOption("manifest");
    await expect(page).toHaveURL(/type=manifest/);
    await expect(page.locator("tr[data-file]")).toHaveCount(1);
    await page.getByRole("button", { name: "Save this view…" }).click();
    await page.getByLabel("Name of the view").fill("Manifests");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Clear the filter" }).click();
    await expect(page.locator("tr[data-file]")).toHaveCount(5);
    await page.reload();
    await page.getByRole("button", { name: "Manifests", exact: true }).click();
    await expect(page.locator("tr[data-file]")).toHaveCount(1);
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Export as CSV" }).click();
    expect((await download).suggestedFilename()).toMatch(/\.csv$/);
    await page.getByRole("button", { name: "Clear the filter" }).click();
  });

  await test.step("a mistake is quarantined, shown, corrected and sent again", async () => {
    await page.goto(at);
    await card.getByLabel("Files for Newsroom").setInputFiles([write("night.xml", mistaken)]);
    await tab(page, /^Quarantine/).click();
    const held = page.locator("li[data-file]").filter({ hasText: "night.xml" });
    await expect(held).toBeVisible(slow);
    await everywhere(page, "the quarantine", "drop-quarantine");
    await held.getByRole("button", { name: /^Open in the validator/ }).click();
    const source = page.getByRole("textbox", { name: "Manifest", exact: true });
    await expect(source).toHaveValue(/<nmae>/);
    await page.getByRole("button", { name: "Check it" }).press("Enter");
    const fault = page.getByRole("list", { name: "Mistakes" }).getByRole("button").first();
    await expect(fault).toContainText("Line 7");
    await everywhere(page, "the validator with a mistake", "drop-validator");
    await fault.press("Enter");
    await expect(source).toBeFocused();
    expect(await source.evaluate((t: HTMLTextAreaElement) => t.value.slice(0, t.selectionStart).split("\n").length)).toBe(7);
    await source.fill((await source.inputValue()).replaceAll("nmae", "name"));
    await page.getByRole("button", { name: "Check it" }).click();
    await expect(page.getByText("It is right.")).toBeVisible();
    await expect(page.getByRole("region", { name: "What would be done" })).toContainText("Jetty tour by night");
    await page.getByRole("button", { name: "Send it to Newsroom" }).click();
    await tab(page, "Files").click();
    await expect(row(page, "night.xml")).toHaveAttribute("data-state", "ready", slow);
    await tab(page, /^Quarantine/).click();
    await expect(page.getByText("Nothing is quarantined")).toBeVisible();
  });

  await test.step("deleted, and back", async () => {
    await tab(page, "Files").click();
    await row(page, "beach.mp4").getByRole("button", { name: "beach.mp4" }).click();
    await page.getByRole("dialog").getByRole("button", { name: /^Delete…/ }).click();
    const plan = page.getByRole("dialog", { name: "Delete beach.mp4?" });
    await plan.getByLabel("Delete the entry, too").check();
    await accessible(page, "what a deletion takes with it");
    await plan.getByRole("button", { name: "Delete file and entry" }).click();
    await expect(plan).toHaveCount(0);
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await page.getByRole("region", { name: "Deleted" }).getByRole("button", { name: "Undo" }).click();
    await expect(row(page, "beach.mp4")).toHaveAttribute("data-state", "ready");
  });

  await test.step("matched by hand with an entry that exists", async () => {
    await tab(page, "Folders").click();
    await card.getByRole("button", { name: "Edit Newsroom" }).click();
    const form = page.getByRole("dialog", { name: "Edit Newsroom" });
    await form.getByText("Entries that exist, and reference ids").click();
    await form.getByLabel("When an entry has the reference id").selectOption("match_or_wait");
    await form.getByRole("button", { name: "Save folder" }).click();
    await expect(form).toHaveCount(0);
    await card.getByLabel("Files for Newsroom").setInputFiles([padded(files.small, join(files.dir, "unknown.mp4"), 5000)]);
    await tab(page, "Files").click();
    await expect(row(page, "unknown.mp4")).toHaveAttribute("data-state", "no_match", slow);
    await row(page, "unknown.mp4").getByRole("button", { name: "unknown.mp4" }).click();
    await page.getByRole("dialog", { name: "unknown.mp4", exact: true }).getByRole("button", { name: /^Match by hand/ }).press("Enter");
    const match = page.getByRole("dialog", { name: "Match unknown.mp4 by hand" });
    await match.getByLabel("Search entries").fill("Jetty");
    await expect(match.getByRole("list", { name: "Entries" }).getByRole("listitem")).toHaveCount(1);
    await everywhere(page, "a match by hand", "drop-match");
    await match.getByRole("button", { name: /^Use Jetty tour by night/ }).press("Enter");
    await expect(match).toHaveCount(0);
    await page.keyboard.press("Escape");
    await expect(row(page, "unknown.mp4")).toHaveAttribute("data-state", /importing|processing|ready/, slow);
  });

  await test.step("a deletion counts down and is kept from; a directory that is not there", async () => {
    const desk = await browser.newContext({ baseURL: demo.base_url, viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
    const admin = await desk.newPage();
    await signIn(admin, server, person(server, "admin"));
    await admin.goto(at);
    await admin.getByRole("button", { name: "Edit Demo" }).click();
    const form = admin.getByRole("dialog");
    await form.getByText("Deletion of files").click();
    await form.getByLabel("Files are deleted").selectOption("after_days");
    await form.getByRole("button", { name: "Save folder" }).click();
    await expect(form).toHaveCount(0);
    copyFileSync(padded(files.small, join(files.dir, "shore.mp4"), 6000), join(demo.drop_folder.path, "shore.mp4"));
    await admin.getByRole("button", { name: "New folder" }).click();
    await form.getByLabel("Name", { exact: true }).fill("Nowhere");
    await form.getByText("Watched directory", { exact: true }).click();
    await form.getByLabel("Directory", { exact: true }).fill("soon/gone");
    await form.getByRole("button", { name: "Make folder" }).click();
    await expect(form).toHaveCount(0);
    rmSync(join(dirname(demo.drop_folder.path), "soon"), { recursive: true, force: true });
    await admin.getByRole("button", { name: "Look now into Nowhere" }).click();
    await expect(admin.locator("li[data-folder]").filter({ hasText: "Nowhere" }).locator('[data-health="failing"]')).toBeVisible(slow);
    await tab(admin, "Files").click();
    await expect(row(admin, "shore.mp4")).toHaveAttribute("data-state", "deletion_due", slow);
    await row(admin, "shore.mp4").getByRole("button", { name: "shore.mp4" }).click();
    await expect(form.getByTestId("deletion")).toContainText(/deleted in (30|29) days/);
    await everywhere(admin, "a deletion that counts down", "drop-countdown");
    await form.getByRole("button", { name: /^Keep/ }).press("Enter");
    await expect(form.locator("[data-file-detail]")).toHaveAttribute("data-state", "ready");
    await expect(form.getByTestId("deletion")).toHaveCount(0);
    await desk.close();
  });

  await test.step("updates stand still while they are paused", async () => {
    await page.getByRole("button", { name: "Pause updates" }).press("Enter");
    const other = await context.newPage();
    await other.goto(at);
    await other.getByLabel("Files for Newsroom").setInputFiles([write("again.xml", mistaken)]);
    await expect(page.getByText("Paused: there is something new.")).toBeVisible(slow);
    await expect(row(page, "again.xml")).toHaveCount(0);
    await page.getByRole("button", { name: "Pause updates" }).press("Enter");
    await expect(row(page, "again.xml")).toHaveAttribute("data-state", "quarantined", slow);
    await page.getByLabel("Choose again.xml").check();
    const chosen = page.getByRole("region", { name: "Chosen files" });
    await accessible(page, "chosen files");
    await chosen.getByRole("button", { name: "Leave alone" }).click();
    await expect(row(page, "again.xml")).toHaveAttribute("data-state", "ignored");
    await other.close();
  });

  await test.step("somebody else changes the folder meanwhile; a credential; the end", async () => {
    await page.goto(at);
    await card.getByRole("button", { name: "Edit Newsroom" }).click();
    const form = page.getByRole("dialog", { name: "Edit Newsroom" });
    await form.getByLabel("Name", { exact: true }).fill("Desk");
    const other = await context.newPage();
    await other.goto(at);
    await other.getByRole("button", { name: "Edit Newsroom" }).click();
    await other.getByLabel("Name", { exact: true }).fill("Newsroom of the coast");
    await other.getByRole("button", { name: "Save folder" }).click();
    await expect(other.getByRole("heading", { name: "Newsroom of the coast" })).toBeVisible();
    await other.close();
    await form.getByRole("button", { name: "Save folder" }).click();
    await expect(form.getByRole("alert")).toContainText("Newsroom of the coast");
    await form.getByRole("button", { name: "Save mine" }).click();
    await expect(page.getByRole("heading", { name: "Desk" })).toBeVisible();
    await page.getByRole("button", { name: "Machine credential of Desk" }).click();
    await page.getByRole("button", { name: "Make a credential" }).click();
    await expect(page.getByTestId("drop-secret")).not.toBeEmpty();
    await accessible(page, "the credential");
    await page.getByRole("button", { name: "I have copied it" }).click();
    await everywhere(page, "the drop folders", "drop-folders");
    await page.getByRole("button", { name: "Remove Desk" }).click();
    await page.getByRole("button", { name: "Remove the folder" }).click();
    await expect(page.getByRole("heading", { name: "Desk" })).toHaveCount(0);
  });
  expect(complaints).toEqual([]);
  await context.close();
});
