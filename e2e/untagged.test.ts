// Media that is spherical and lacks the tag: found when an admin allows it, marked with the admin's own
// right in Kaltura, undone; by keyboard, in both colour schemes and at 320 px.
import { execFileSync } from "node:child_process";
import { basename, join } from "node:path";
import { accessible, expect, fits, person, picture, signIn, test, watch } from "./base.ts";

test("untagged 360 is found, marked and undone", async ({ browser, server, files }) => {
  const { demo } = server;
  // Without motion, or a scheme that has just changed is looked at in the middle of its fade.
  const context = await browser.newContext({ baseURL: demo.base_url, reducedMotion: "reduce" });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  const make = (name: string, size: string) => {
    const file = join(files.dir, `${name}.mp4`);
    execFileSync("ffmpeg", ["-v", "error", "-y", "-f", "lavfi", "-i", `testsrc2=size=${size}:rate=10:duration=2`, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", file]);
    return file;
  };
  const library = `/hubs/${demo.hub_id}/library?tab=kaltura`;
  const upload = async (on: typeof page, ...names: string[]) => {
    await on.locator("input[type=file]").first().setInputFiles(names);
    for (const name of names) {
      await expect(on.locator(".upload", { hasText: basename(name) }).getByText(/^Ready/)).toBeVisible({ timeout: 90_000 });
    }
  };
  // One of another person's: Kaltura will not let the admin change it.
  const other = await browser.newContext({ baseURL: demo.base_url });
  const theirs = await other.newPage();
  await signIn(theirs, server, person(server, "participant"));
  await theirs.goto(library);
  await upload(theirs, make("Insta360 ride", "640x360"));
  await other.close();

  await signIn(page, server, person(server, "admin"));
  await page.goto(library);
  await upload(page, make("Pier without a tag", "2048x1024"), make("Lighthouse 360 walk", "1024x512"));

  const settings = `/hubs/${demo.hub_id}/settings/integrations/kaltura`;
  await page.goto(settings);
  const card = page.getByRole("region", { name: "360° media without the tag" });
  const allow = card.getByRole("checkbox", { name: /Search this Kaltura account/ });
  await expect(allow).not.toBeChecked();
  await expect(card.getByRole("button", { name: "Look for 360 media" })).toHaveCount(0);
  await allow.press("Space");
  await expect(card.getByText(/^Searched just now: \d+ entries looked at, 3 found\.$/)).toBeVisible({ timeout: 60_000 });
  const rows = card.getByRole("list", { name: /entries$/ }).locator(":scope > li");
  await expect(rows).toHaveCount(3);
  const row = (name: string) => rows.filter({ hasText: name });
  await expect(row("Pier without a tag")).toContainText("exactly twice as wide as high (2048 × 1024)");
  await expect(row("Lighthouse 360 walk")).toContainText("Likely");
  await expect(row("Lighthouse 360 walk").locator("img")).toBeVisible();
  await card.scrollIntoViewIfNeeded();
  await accessible(page, "untagged 360, found");
  await card.screenshot({ path: test.info().outputPath("found.png") });
  await picture(page, "untagged-360");

  // All at once: two become 360, the third says why not.
  await card.getByRole("checkbox", { name: /Select all/ }).press("Space");
  await card.getByRole("button", { name: "Mark as 360 (3)" }).press("Enter");
  const outcome = card.getByRole("group", { name: "Result" });
  await expect(outcome).toContainText("2 entries are marked as 360.");
  await expect(outcome).toContainText("1 entry could not be changed");
  await expect(rows).toHaveCount(1);
  await expect(row("Insta360 ride")).toContainText("may not change this media");
  await accessible(page, "untagged 360, marked");
  await card.screenshot({ path: test.info().outputPath("marked.png") });
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width: 320, height: 640 });
    await fits(page, `untagged 360, ${scheme}`);
    await accessible(page, `untagged 360 at 320 px, ${scheme}`);
    await card.screenshot({ path: test.info().outputPath(`marked-320-${scheme}.png`) });
    await page.setViewportSize({ width: 1280, height: 860 });
    await card.getByRole("button", { name: "Marked", exact: true }).click();
    await expect(rows).toHaveCount(2);
    await card.screenshot({ path: test.info().outputPath(`shelf-${scheme}.png`) });
    await card.getByRole("button", { name: "Found", exact: true }).click();
  }

  // The run is undone. The list that is asked for as it begins is answered, out of date, after the one of its end.
  let asked = 0;
  let overtake = () => {};
  const overtaken = new Promise<void>((done) => {
    overtake = done;
  });
  const list = (url: URL) => url.pathname.endsWith("/untagged-360/entries") && !url.searchParams.has("job");
  await page.route(list, async (route) => {
    if (asked++ === 0) {
      await overtaken;
      return route.fulfill({ json: { items: [] } });
    }
    await route.fulfill({ response: await route.fetch() });
    overtake();
  });
  await card.getByRole("button", { name: "Undo all 2" }).press("Enter");
  await expect(card.getByText("The tag was taken back from 2 entries.")).toBeVisible();
  await expect(rows).toHaveCount(3);
  await page.unrouteAll({ behavior: "wait" });
  await page.evaluate(() => new Promise((done) => setTimeout(done, 300))); // it is shown by now, if it is
  expect(await rows.count()).toBe(3);
  // Then one is marked and undone by itself; one is put aside.
  await row("Pier without a tag").getByRole("button", { name: /^Mark as 360/ }).press("Enter");
  await expect(card.getByText("1 entry is marked as 360.")).toBeVisible();
  await page.goto(library);
  const pier = page.getByRole("link", { name: /Pier without a tag/ }).or(page.getByRole("button", { name: /Pier without a tag/ })).first();
  await expect(pier).toContainText("360°");
  await page.goto(settings);
  await card.getByRole("button", { name: "Marked", exact: true }).click();
  await row("Pier without a tag").getByRole("button", { name: /^Undo/ }).press("Enter");
  await expect(card.getByText("The tag was taken back from 1 entry.")).toBeVisible();
  await expect(card.getByText("Nothing was marked here.")).toBeVisible();
  await card.getByRole("button", { name: "Found", exact: true }).click();
  await row("Insta360 ride").getByRole("button", { name: /^Not 360/ }).press("Enter");
  await expect(rows).toHaveCount(2);
  await card.getByRole("button", { name: "Look for 360 media" }).click();
  await expect(card.getByText(/looked at, nothing new\.$/)).toBeVisible({ timeout: 60_000 });
  await expect(rows).toHaveCount(2);
  await allow.press("Space");
  await expect(rows).toHaveCount(0);
  expect(complaints).toEqual([]);
  await context.close();
});
