// Every page: no accessibility violation in light and dark, nothing cut off at 320 px.
import { accessible, everywhere, expect, fits, person, signIn, test, watch } from "./base.ts";

test("pages for everybody", async ({ browser, server }) => {
  const context = await browser.newContext({ baseURL: server.demo.base_url, reducedMotion: "reduce" });
  const page = await context.newPage();
  const complaints = watch(context, new URL(server.demo.base_url).origin);
  await page.goto("/");
  await expect(page.getByRole("main").getByRole("link", { name: "Sign in" })).toBeVisible();
  await everywhere(page, "the sign-in page", "sign-in");
  await page.goto("/connect/this-link-was-never-made-by-anybody");
  await expect(page.getByRole("alert")).toBeVisible();
  await everywhere(page, "an invitation that is over", "invitation-over");

  await signIn(page, server, person(server, "admin"));
  const { hub_id: hub, unconnected_hub_id: other } = server.demo;
  const pages: [string, string][] = [
    [`/hubs/${hub}/library`, "Media library"],
    [`/hubs/${hub}/library?tab=kaltura`, "Media library"],
    [`/hubs/${hub}/settings/integrations/kaltura`, "Kaltura"],
    [`/hubs/${other}/settings/integrations/kaltura`, "Kaltura"],
    ["/account/integrations", "Your integrations"],
    ["/nowhere", "There is nothing here"],
    ["/hubs/hub_of_somebody_else/library", "There is nothing here"],
  ];
  for (const [i, [path, heading]] of pages.entries()) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1, name: heading })).toBeVisible();
    await expect(page.locator(".spin, .skeleton")).toHaveCount(0);
    await everywhere(page, path, `page-${i}`);
  }
  expect(complaints).toEqual([]);
  await context.close();
});

test("a participant is told why the settings are closed, and can leave", async ({ browser, server }) => {
  const context = await browser.newContext({ baseURL: server.demo.base_url });
  const page = await context.newPage();
  await signIn(page, server, person(server, "participant"));
  await page.goto(`/hubs/${server.demo.hub_id}/settings/integrations/kaltura`);
  await expect(page.getByRole("heading", { name: /Only admins/ })).toBeVisible();
  await accessible(page, "closed settings");
  await page.goto("/account/integrations");
  await expect(page.locator(`[data-hub="${server.demo.hub_id}"]`)).toContainText("Connected");
  await page.getByLabel(/^Account of/).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto("/account/integrations");
  await expect(page.getByRole("main").getByRole("link", { name: "Sign in" })).toBeVisible();
  await context.close();
});

test("somebody outside the hub connects it through a link", async ({ browser, server }) => {
  const { demo } = server;
  const admin = await browser.newContext({ baseURL: demo.base_url });
  const page = await admin.newPage();
  await signIn(page, server, person(server, "admin"));
  await page.goto(`/hubs/${demo.unconnected_hub_id}/settings/integrations/kaltura`);
  const connection = page.getByRole("heading", { name: "Connection" });
  await expect(connection.or(page.getByRole("heading", { name: "Choose what people see" }))).toBeVisible();
  if (await connection.isVisible()) {
    await page.getByRole("button", { name: "Disconnect…" }).click();
    await expect(page.getByRole("dialog")).toContainText("will no longer play");
    await accessible(page, "the question before disconnecting");
    await page.getByRole("button", { name: "Disconnect", exact: true }).click();
  }
  await page.getByText("Somebody else looks after Kaltura?").click();
  await page.getByRole("button", { name: "Make a link" }).click();
  const link = (await page.getByTestId("invite-link").textContent())!;

  const stranger = await browser.newContext({ baseURL: demo.base_url });
  const theirs = await stranger.newPage();
  const token = demo.kaltura.app_tokens.find((t) => t.visibility === "shared")!;
  await theirs.goto(link);
  await expect(theirs.getByRole("heading", { name: "Connect Kaltura" })).toBeVisible();
  await expect(theirs.getByRole("region", { name: "Request body" })).toBeVisible();
  await accessible(theirs, "the invitation");
  await theirs.setViewportSize({ width: 320, height: 640 });
  await fits(theirs, "the invitation");
  await theirs.getByLabel("Service URL").fill(demo.kaltura.service_url);
  await theirs.getByLabel("Partner id").fill(String(demo.kaltura.partner_id));
  await theirs.getByLabel("App Token id").fill(token.id);
  await theirs.getByLabel("App Token", { exact: true }).fill(token.token);
  await theirs.getByLabel("Hash type").selectOption(token.hash_type);
  await theirs.getByRole("button", { name: "Connect", exact: true }).click();
  await expect(theirs.getByText(/is connected\./)).toBeVisible();
  await theirs.reload();
  await expect(theirs.getByRole("alert")).toBeVisible();

  await page.reload();
  await expect(connection).toBeVisible();
  await admin.close();
  await stranger.close();
});
