// The spaces platform's own media: registered over REST they appear in the Spaces tab by themselves, are
// sent to Kaltura from their page, also through a crash, and follow what the platform says of them.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { accessible, expect, fits, person, signIn, test, watch } from "./base.ts";

test("the spaces platform's own media appear, are sent to Kaltura and go", async ({ browser, server, files }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url, reducedMotion: "reduce" });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  await signIn(page, server, person(server, "participant"));
  await page.goto(`/hubs/${demo.hub_id}/library`);

  const signedIn = await fetch(`${demo.base_url}/oauth2/token`, {
    method: "POST",
    headers: { Authorization: `Basic ${Buffer.from(`${demo.client_id}:${demo.client_secret}`).toString("base64")}` },
    body: new URLSearchParams({ grant_type: "client_credentials" }),
  });
  const { access_token: token } = (await signedIn.json()) as { access_token: string };
  const rest = async (method: string, path: string, body?: unknown, want = 200): Promise<Record<string, any>> => {
    const r = await fetch(`${demo.base_url}/v1/hubs/${demo.hub_id}${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await r.text();
    expect(r.status, text).toBe(want);
    return text ? JSON.parse(text) : {};
  };
  const film = readFileSync(files.sphere);
  const upload = await rest("POST", "/uploads", { name: "scene.mp4", size: film.length, target: "library" }, 201);
  const sent = await fetch(upload.tus_url, {
    method: "PATCH",
    headers: { Authorization: `Bearer ${token}`, "Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream" },
    body: film,
  });
  expect(sent.status).toBe(204);
  await rest("POST", `/uploads/${upload.id}/finish`, { size: film.length, sha256: createHash("sha256").update(film).digest("hex") }, 202);

  // Registered: there without a reload, first on its way, then ready and spherical.
  const { item } = await rest("POST", "/library/register", { external_id: "scene-1", name: "Pier in the fog", tags: ["fog"], upload_id: upload.id }, 202);
  const card = page.getByRole("button", { name: /Pier in the fog/ }).or(page.getByRole("link", { name: /Pier in the fog/ })).first();
  await expect(card).toBeVisible();
  await expect(card).toContainText("360°", { timeout: 60_000 });
  await expect(card.locator("img")).toBeVisible({ timeout: 60_000 });

  // Sent to Kaltura by the person, by keyboard; the server is killed on the way.
  await card.press("Enter");
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByText("Media of Spaces")).toBeVisible();
  await accessible(page, "own media");
  await dialog.getByRole("button", { name: "Send to Kaltura" }).press("Enter");
  await expect(dialog.getByText(/way to Kaltura|In Kaltura/).first()).toBeVisible();
  await server.kill();
  await server.run();
  const done = dialog.getByText(/^In Kaltura as/);
  await expect(done).toBeVisible({ timeout: 90_000 });
  await page.screenshot({ path: test.info().outputPath("sent.png") });
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 320, height: 640 });
    await fits(page, `own media, ${colorScheme}`);
    await accessible(page, `own media at 320 px, ${colorScheme}`);
    await page.screenshot({ path: test.info().outputPath(`sent-320-${colorScheme}.png`) });
    await page.setViewportSize({ width: 1280, height: 860 });
  }
  await dialog.getByRole("button", { name: "Close" }).first().click();
  await expect(card).toContainText("In Kaltura");
  const { changes } = await rest("GET", "/library/changes");
  const mine = changes.find((c: { id: string }) => c.id === item.id);
  expect(mine.external_id).toBe("scene-1");
  expect(mine.item.export.entry_id).toMatch(/^0_/);

  // Renamed and removed by the platform: both without a reload; the entry stays.
  await rest("PUT", "/library/changes", { changes: [{ external_id: "scene-1", media: { name: "Pier at noon", tags: ["sun"] } }] });
  await expect(page.getByText("Pier at noon").first()).toBeVisible();
  await page.screenshot({ path: test.info().outputPath("spaces.png") });
  await rest("DELETE", `/library/${item.id}`, undefined, 204);
  await expect(page.getByText("Pier at noon")).toHaveCount(0);
  await rest("GET", `/media/${mine.item.export.entry_id}`);
  expect(complaints).toEqual([]);
  await context.close();
});
