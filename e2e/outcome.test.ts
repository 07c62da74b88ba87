// The whole main job in a browser, as the people who do it: connect, diagnose, see, search, preview,
// import, upload (with a reload and a killed server in the middle), play, turn, and not see.
import type { Page } from "@playwright/test";
import { accessible, expect, person, picture, signIn, still, test, turned, watch } from "./base.ts";

const library = (hub: string, rest = "") => `/hubs/${hub}/library${rest}`;
const settings = (hub: string) => `/hubs/${hub}/settings/integrations/kaltura`;

/** Limits what the page sends, so that there is a middle in which things can happen. */
async function throttle(page: Page, bytesPerSecond: number): Promise<void> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Network.enable");
  await cdp.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: bytesPerSecond,
  });
}

interface Listed {
  id: string;
  name: string;
  tags: string[];
  status: string;
  owner_id: string;
}

async function listed(page: Page, hub: string): Promise<Listed[]> {
  const r = await page.request.get(`/v1/hubs/${hub}/media?source=kaltura&limit=100`);
  expect(r.status()).toBe(200);
  return ((await r.json()) as { items: Listed[] }).items;
}

test("the main job, end to end", async ({ browser, server, files }) => {
  test.setTimeout(900_000);
  const { demo } = server;
  const hub = demo.unconnected_hub_id;
  const origin = new URL(demo.base_url).origin;
  const fresh = async (extra = {}) => {
    const context = await browser.newContext({ baseURL: demo.base_url, viewport: { width: 1280, height: 860 }, ...extra });
    const complaints = watch(context, origin);
    return { page: await context.newPage(), context, complaints };
  };
  const admin = await fresh();
  const pia = await fresh({ hasTouch: true });
  const carl = await fresh();

  await test.step("an admin connects the hub with an App Token", async () => {
    const { page } = admin;
    const token = demo.kaltura.app_tokens.find((t) => t.visibility === "shared")!;
    await signIn(page, server, person(server, "admin"));
    await page.goto(settings(hub));
    await page.getByRole("radio", { name: /The whole account/ }).check();
    await expect(page.getByRole("region", { name: "Request body" })).toContainText('"KalturaAppToken"');
    await accessible(page, "the wizard");

    // Nonsense is found before anything is sent.
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByLabel("Partner id")).toHaveAttribute("aria-invalid", "true");

    await page.getByLabel("Service URL").fill(demo.kaltura.service_url);
    await page.getByLabel("Partner id").fill(String(demo.kaltura.partner_id));
    await page.getByLabel("App Token id").fill(token.id);
    await page.getByLabel("App Token", { exact: true }).fill("0123456789abcdef0123456789abcdef");
    await page.getByLabel("Hash type").selectOption(token.hash_type);
    await page.getByRole("button", { name: "Test connection" }).click();
    const check = (id: string) => page.locator(`[data-check="${id}"]`);
    await expect(check("session")).toHaveAttribute("data-state", "failed");
    await expect(check("session").locator(".fix")).not.toBeEmpty();

    await page.getByLabel("App Token", { exact: true }).fill(token.token);
    await page.getByRole("button", { name: "Test connection" }).click();
    for (const id of ["reach", "session", "list_all", "upload", "set_tags"]) {
      await expect(check(id), id).toHaveAttribute("data-state", "ok");
    }
    await accessible(page, "the diagnosis");
    await picture(page, "settings-diagnosis");
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByRole("heading", { name: "Connection" })).toBeVisible();
    await expect(page.getByText(`••••••••${token.token.slice(-4)}`)).toBeVisible();
    await expect(page.locator("body")).not.toContainText(token.token);
    await accessible(page, "the connection");
  });

  await test.step("a participant browses, searches and previews", async () => {
    const { page } = pia;
    await signIn(page, server, person(server, "participant"));
    await page.goto(library(hub));
    await page.getByRole("tab", { name: "From Kaltura" }).click();
    const cards = page.locator("button.media");
    await expect(cards.filter({ hasText: "Harbour at noon" })).toBeVisible();
    // The demo's own media may still be made, the bell last, and packaged.
    await expect(async () => {
      await page.reload();
      await expect(cards.filter({ hasText: "Bell" })).toBeVisible({ timeout: 3000 });
    }).toPass({ timeout: 120_000 });
    await expect(cards.filter({ hasText: /Processing|Uploading/ })).toHaveCount(0, { timeout: 120_000 });
    await accessible(page, "From Kaltura");
    await picture(page, "library");

    await page.getByRole("searchbox", { name: "Search in Kaltura" }).fill("harbour");
    await expect(cards).toHaveCount(1);
    await expect(page.getByTestId("count")).toContainText("1 item");
    await page.reload();
    await expect(page.getByRole("searchbox", { name: "Search in Kaltura" })).toHaveValue("harbour");
    await page.getByRole("button", { name: "Clear the search" }).click();
    await page.getByRole("button", { name: "360° only" }).click();
    await expect(cards.filter({ hasText: "Harbour at noon" })).toHaveCount(0);
    await expect(cards.filter({ hasText: "Courtyard in 360" })).toBeVisible();
    await page.getByRole("button", { name: "360° only" }).click();
    await expect(cards.filter({ hasText: "Harbour at noon" })).toBeVisible();

    // With the keyboard: one card is in the tab order, arrows go on, Enter opens, Escape comes back.
    await cards.first().focus();
    await page.keyboard.press("End");
    await expect(cards.last()).toBeFocused();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await expect(cards.nth(1)).toBeFocused();
    await page.keyboard.press("Enter");
    await expect(page.getByRole("dialog")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await expect(cards.nth(1)).toBeFocused();

    await cards.filter({ hasText: "Harbour at noon" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog.locator(".stage")).toHaveAttribute("data-ready", "true", { timeout: 60_000 });
    await accessible(page, "the preview");
    await dialog.getByText("Why do I see this?").click();
    await expect(dialog.getByText(/shares the whole Kaltura account/)).toBeVisible();
  });

  await test.step("and imports a video", async () => {
    const { page } = pia;
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("radio", { name: /Copy/ }).check();
    await dialog.getByRole("button", { name: "Import" }).click();
    await expect(dialog.getByText("It is in Spaces.")).toBeVisible({ timeout: 120_000 });
    await dialog.getByRole("button", { name: "Show" }).click();
    const player = page.getByRole("dialog");
    await expect(player.getByText("Copy in Spaces")).toBeVisible();
    await expect(player.locator(".stage")).toHaveAttribute("data-ready", "true", { timeout: 60_000 });
    await page.keyboard.press("Escape");
    await expect(page.locator("button.media").filter({ hasText: "Harbour at noon" })).toBeVisible();
    await accessible(page, "Spaces");
  });

  const sphereName = "Küstenweg 360° הליכה";
  const largeName = "Großer Vortrag & mehr";
  const row = (name: string) => pia.page.locator("li.upload").filter({ hasText: name });

  await test.step("uploads survive a reload and a killed server", async () => {
    const { page } = pia;
    page.on("dialog", (d) => void d.accept());
    await page.getByRole("tab", { name: "From Kaltura" }).click();
    await throttle(page, 3_000_000);
    const sent = async () => Number(/(\d+) %/.exec((await row(largeName).textContent()) ?? "")?.[1] ?? 0);
    const sentAtLeast = (n: number) => expect.poll(sent, { message: `${n} % sent`, timeout: 120_000 }).toBeGreaterThanOrEqual(n);
    await page.locator('input[type="file"][multiple]').setInputFiles([files.sphere, files.large]);
    await row(sphereName).getByRole("button", { name: /^Pause/ }).click();
    await expect(row(sphereName)).toHaveAttribute("data-upload", /^upl_/);
    const sphereUpload = (await row(sphereName).getAttribute("data-upload"))!;
    await expect(row(largeName)).toBeVisible();
    // Both are cards of the grid at once.
    await expect(page.locator("[data-upload-card]").filter({ hasText: largeName })).toBeVisible();
    await sentAtLeast(8);
    await picture(page, "uploads");
    await row(largeName).getByRole("button", { name: /^Pause/ }).click();
    await expect(row(largeName)).toContainText("Paused at");
    await accessible(page, "uploads");
    await row(largeName).getByRole("button", { name: /^Resume/ }).click();
    await expect(row(largeName)).toHaveAttribute("data-phase", "sending");
    await sentAtLeast(12);

    await page.reload();
    await expect(row(largeName)).toHaveAttribute("data-phase", "needs_file");
    await expect(row(largeName)).toContainText(/Stopped at [1-9][0-9]? %/);
    const kept = await sent();
    // Another file is refused, the right one goes on where it was.
    await row(largeName).locator('input[type="file"]').setInputFiles(files.sphere);
    await expect(row(largeName).getByRole("alert")).toContainText("another size");
    await row(largeName).locator('input[type="file"]').setInputFiles(files.large);
    await sentAtLeast(kept + 10);

    await server.kill();
    await expect(row(largeName)).toContainText("Trying again in");
    await server.run();
    await throttle(page, 40_000_000);
    await expect(row(largeName)).toHaveAttribute("data-phase", /sending|finishing|server|ready/, { timeout: 70_000 });
    // A file that is simply added again is joined to its unfinished upload.
    await expect(row(sphereName)).toHaveAttribute("data-phase", "needs_file");
    await page.locator('input[type="file"][multiple]').setInputFiles(files.sphere);
    await expect(row(sphereName)).toHaveCount(1);
    await expect(row(sphereName)).toHaveAttribute("data-upload", sphereUpload);
    for (const name of [sphereName, largeName]) {
      await expect(row(name), name).toHaveAttribute("data-phase", "ready", { timeout: 300_000 });
    }
  });

  let sphereId = "";
  await test.step("both are in the account, and 360 is on the right one only", async () => {
    const media = await listed(pia.page, hub);
    const sphere = media.filter((m) => m.name === sphereName);
    const large = media.filter((m) => m.name === largeName);
    expect(sphere).toHaveLength(1);
    expect(large).toHaveLength(1);
    expect(sphere[0]!.tags).toContain("360");
    expect(large[0]!.tags).not.toContain("360");
    sphereId = sphere[0]!.id;
    await expect(pia.page.locator("button.media").filter({ hasText: sphereName })).toContainText("360°");
  });

  await test.step("the 360 one plays in DASH and turns", async () => {
    const { page } = pia;
    const manifest = page.waitForResponse((r) => /dash|\.mpd/i.test(r.url()) && r.ok());
    await page.goto(library(hub, `?tab=kaltura&media=${sphereId}`));
    const dialog = page.getByRole("dialog");
    const stage = dialog.locator(".stage");
    await expect(stage).toHaveAttribute("data-ready", "true", { timeout: 60_000 });
    await manifest;
    await dialog.getByRole("button", { name: "Play", exact: true }).click();
    const at = () => page.evaluate(() => document.querySelector("video")!.currentTime);
    await expect.poll(at, { message: "time goes on" }).toBeGreaterThan(1);
    await page.evaluate(() => document.querySelector("video")!.pause());
    await page.mouse.move(5, 5);

    const ahead = await still(page, stage);
    await stage.focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    const right = await turned(page, stage, ahead, "ArrowRight");
    const time = await at();
    await page.keyboard.press("ArrowUp");
    const up = await turned(page, stage, right, "ArrowUp");
    expect(await at(), "arrows turn and do not seek").toBe(time);

    const box = (await stage.boundingBox())!;
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 3];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x - 120, y, { steps: 6 });
    await page.mouse.up();
    await page.mouse.move(5, 5);
    const dragged = await turned(page, stage, up, "the mouse");

    const cdp = await page.context().newCDPSession(page);
    const touch = (type: "touchStart" | "touchMove" | "touchEnd", points: { x: number; y: number }[]) =>
      cdp.send("Input.dispatchTouchEvent", { type, touchPoints: points });
    await touch("touchStart", [{ x, y }]);
    for (let i = 1; i <= 6; i++) await touch("touchMove", [{ x: x + i * 20, y: y + i * 6 }]);
    await touch("touchEnd", []);
    const touched = await turned(page, stage, dragged, "touch");

    await dialog.getByRole("button", { name: "Reset view" }).click();
    await turned(page, stage, touched, "Reset view");
    await accessible(page, "the 360 player");
    await picture(page, "viewer-360");
    await page.keyboard.press("Escape");
  });

  await test.step("a 360 photo turns, sound has its waveform", async () => {
    const { page } = pia;
    await page.goto(library(hub, "?tab=kaltura"));
    await page.locator("button.media").filter({ hasText: "Reading room in 360" }).click();
    const stage = page.getByRole("dialog").locator(".stage");
    await expect(stage).toHaveAttribute("data-ready", "true", { timeout: 60_000 });
    const ahead = await still(page, stage);
    await stage.focus();
    await page.keyboard.press("ArrowRight");
    await turned(page, stage, ahead, "ArrowRight");
    await accessible(page, "the 360 photo");
    await page.keyboard.press("Escape");
    await page.locator("button.media").filter({ hasText: "Bell" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Play" }).click();
    await expect(page.getByRole("dialog").getByRole("button", { name: "Pause" })).toBeVisible();
    await expect.poll(() => page.getByRole("slider", { name: "Position" }).inputValue().then(Number)).toBeGreaterThan(0.3);
    await accessible(page, "the sound player");
    await page.keyboard.press("Escape");
  });

  await test.step("a second participant sees it while the account is shared", async () => {
    const { page } = carl;
    await signIn(page, server, person(server, "content_admin"));
    await page.goto(library(hub, "?tab=kaltura"));
    await expect(page.locator("button.media").filter({ hasText: sphereName })).toBeVisible();
  });

  await test.step("and no longer when everybody sees only their own", async () => {
    const { page } = admin;
    await page.goto(settings(hub));
    await page.getByRole("radio", { name: /Only their own/ }).check();
    await page.getByRole("button", { name: "Change visibility…" }).click();
    await accessible(page, "the question about the visibility");
    await page.getByRole("button", { name: "Show only their own" }).click();
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await expect(page.getByRole("radio", { name: /Only their own/ })).toBeChecked();

    await carl.page.goto(library(hub, "?tab=kaltura"));
    await expect(carl.page.getByTestId("count").or(carl.page.getByText("No media yet"))).toBeVisible();
    await expect(carl.page.locator("button.media").filter({ hasText: sphereName })).toHaveCount(0);
    const direct = await carl.page.request.get(`/v1/hubs/${hub}/media/${sphereId}`);
    expect(direct.status()).toBe(404);
    await pia.page.goto(library(hub, "?tab=kaltura"));
    await expect(pia.page.locator("button.media").filter({ hasText: sphereName })).toBeVisible();
  });

  for (const who of [admin, pia, carl]) {
    expect(who.complaints).toEqual([]);
    await who.context.close();
  }
});
