// Kaltura stops and comes back, and what people and admins see of it meanwhile: a real sandbox process
// that the test ends and starts again.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accessible, expect, fits, person, picture, signIn, test } from "./base.ts";
import { Sandbox } from "./sandbox.ts";
import { Server } from "./server.ts";

test("a stale page says so, uploads wait, and all goes on when Kaltura is back", async ({ browser, files }) => {
  test.setTimeout(240_000);
  const data = mkdtempSync(join(tmpdir(), "isthmus-sandbox-"));
  let kaltura = await Sandbox.start("127.0.0.1:0", data);
  const address = new URL(kaltura.account.service_url).host;
  const server = await Server.start("--allow-networks", "127.0.0.1/32", "--kaltura-patience", "3s", "--no-demo-media");
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url });
  const page = await context.newPage();
  try {
    await signIn(page, server, person(server, "admin"));
    const hub = demo.unconnected_hub_id;
    const token = kaltura.account.app_tokens.find((t) => t.visibility === "shared")!;
    const connected = await page.evaluate(
      async ([hub, body]) =>
        (await fetch(`/v1/hubs/${hub}/integrations/kaltura`, { method: "PUT", headers: { "Content-Type": "application/json" }, body })).status,
      [
        hub,
        JSON.stringify({
          service_url: kaltura.account.service_url, partner_id: kaltura.account.partner_id, app_token_id: token.id,
          app_token: token.token, hash_type: token.hash_type, visibility: "shared",
        }),
      ] as const,
    );
    expect(connected).toBe(200);
    const library = `/hubs/${hub}/library?tab=kaltura`;
    await page.goto(library);
    await page.locator("input[type=file]").first().setInputFiles(files.small);
    await expect(page.getByTestId("count")).toHaveText(/^1 item/, { timeout: 60_000 });
    await expect(page.getByText("Ready", { exact: true }).first()).toBeVisible({ timeout: 60_000 });
    await page.reload();
    await expect(page.getByTestId("count")).toHaveText(/^1 item/);

    await kaltura.stop();
    await page.reload();
    const trouble = page.getByTestId("trouble");
    await expect(trouble).toContainText("Kaltura is not answering", { timeout: 60_000 });
    await expect(trouble).toContainText(/as of \d\d:\d\d/);
    await expect(page.getByTestId("count")).toHaveText(/^1 item/);
    const tries = page.getByTestId("tries");
    await expect(tries).toContainText(/Last try \d+ s ago/);
    // It counts, but only the sentence that stays is read out by itself.
    const before = await tries.textContent();
    await expect(tries).not.toHaveText(before!, { timeout: 15_000 });
    await expect(trouble.getByRole("status")).toHaveCount(1);
    await expect(trouble.getByRole("status")).not.toContainText("Last try");
    await accessible(page, "a stale page");
    await picture(page, "degraded");
    await page.setViewportSize({ width: 320, height: 640 });
    await fits(page, "a stale page");
    await page.emulateMedia({ colorScheme: "dark" });
    await accessible(page, "a stale page at 320 px in the dark");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 860 });

    // Another question has no page to show: it says what is the matter and keeps trying.
    await page.goto(`${library}&q=never-asked-before`);
    await expect(trouble).toContainText("Kaltura is not answering", { timeout: 60_000 });
    await expect(trouble).not.toContainText("as of");
    await accessible(page, "no page to show");

    // A file comes in all the same.
    await page.goto(library);
    await expect(trouble).toBeVisible({ timeout: 60_000 });
    await page.locator("input[type=file]").first().setInputFiles(files.small);
    await expect(page.locator(".upload .state").first()).toContainText("goes on by itself", { timeout: 60_000 });

    // The admin sees since when, what waits and the history, and can try at once.
    await page.goto(`/hubs/${hub}/settings/integrations/kaltura`);
    const health = page.getByTestId("health");
    await expect(health).toContainText("Answers badly");
    await expect(health).toContainText("1 upload", { timeout: 30_000 });
    await health.getByText("History").click();
    await expect(health.getByRole("list", { name: /History/ }).getByRole("listitem").first()).toContainText("until now");
    await accessible(page, "settings in trouble");
    await picture(page, "health");
    await page.setViewportSize({ width: 320, height: 640 });
    await fits(page, "settings in trouble");
    await page.setViewportSize({ width: 1280, height: 860 });

    // Back again: a page that is open heals by itself, the file arrives.
    await page.goto(library);
    await expect(trouble).toBeVisible({ timeout: 60_000 });
    kaltura = await Sandbox.start(address, data);
    await expect(trouble).toHaveCount(0, { timeout: 120_000 });
    await expect(page.getByTestId("count")).toHaveText(/^2 items/, { timeout: 60_000 });
    await page.goto(`/hubs/${hub}/settings/integrations/kaltura`);
    await expect(health).toContainText("Working");
    await expect(health).toContainText("nothing");
  } finally {
    await context.close();
    await server.stop();
    await kaltura.stop();
    rmSync(data, { recursive: true, force: true });
  }
});
