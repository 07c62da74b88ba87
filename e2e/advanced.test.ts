// The advanced settings of a connection, by keyboard, in both colour schemes and at 320 px.
import { everywhere, expect, person, signIn, test, watch } from "./base.ts";

test("advanced settings", async ({ browser, server }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url, reducedMotion: "reduce" });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  await signIn(page, server, person(server, "admin"));
  await page.goto(`/hubs/${demo.hub_id}/settings/integrations/kaltura`);
  const card = page.getByRole("region", { name: "Advanced settings" });
  await card.locator("summary").first().focus();
  await page.keyboard.press("Enter");
  await expect(card.getByLabel("Conversion profile")).toContainText("(default)");
  await card.getByLabel("Category", { exact: true }).fill("seven");
  await card.getByLabel("Category entitlement").selectOption("enforce");
  await card.getByRole("checkbox", { name: /second App Token/ }).press("Space");
  await card.getByRole("button", { name: "Save advanced settings" }).press("Enter");
  for (const field of ["Category", "Privacy context", "Player App Token id", "Player App Token"]) {
    await expect(card.getByLabel(field, { exact: true })).toHaveAttribute("aria-invalid", "true");
  }
  await card.getByText("How to make it in Kaltura").click();
  await expect(card.getByRole("region", { name: "Request body" })).toContainText("disableentitlementforentry");
  await everywhere(page, "advanced settings with everything open", "advanced");

  // The server's own answer appears at its field.
  await card.getByLabel("Category", { exact: true }).fill("999999");
  await card.getByLabel("Category entitlement").selectOption("");
  await card.getByRole("checkbox", { name: /second App Token/ }).uncheck();
  await card.getByRole("button", { name: "Save advanced settings" }).click();
  await expect(card.getByRole("alert")).toContainText("999999");
  await expect(card.getByLabel("Category", { exact: true })).toHaveAttribute("aria-invalid", "true");

  // A conversion profile is chosen and stays chosen.
  await card.getByLabel("Category", { exact: true }).fill("");
  const profile = card.getByLabel("Conversion profile");
  const other = (await profile.locator("option").nth(2).getAttribute("value"))!;
  await profile.selectOption(other);
  await card.getByRole("button", { name: "Save advanced settings" }).click();
  await expect(page.locator(".toast", { hasText: "The advanced settings were saved." }).last()).toBeVisible();
  await page.reload();
  await expect(page.getByRole("region", { name: "Advanced settings" }).getByLabel("Conversion profile")).toHaveValue(other);
  await page.getByRole("region", { name: "Advanced settings" }).getByLabel("Conversion profile").selectOption("");
  await page.getByRole("button", { name: "Save advanced settings" }).click();
  await expect(page.locator(".toast", { hasText: "The advanced settings were saved." }).last()).toBeVisible();
  expect(complaints).toEqual([]);
  await context.close();
});
