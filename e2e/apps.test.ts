// Apps of a hub, the first start, and what operators decide: by keyboard and mouse, in both schemes and at 320 px.
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { accessible, everywhere, expect, person, signIn, test, watch } from "./base.ts";
import { Server } from "./server.ts";

function token(base: string, id: string, secret: string): Promise<Response> {
  return fetch(`${base}/oauth2/token`, {
    method: "POST",
    headers: { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
    body: new URLSearchParams({ grant_type: "client_credentials" }),
  });
}

test("an admin registers an app, uses its secret, renews it, and switches it off", async ({ browser, server }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  await signIn(page, server, person(server, "admin"));
  await page.goto(`/hubs/${demo.hub_id}/settings/integrations/kaltura`);
  await page.getByRole("navigation", { name: "Hub settings" }).getByRole("link", { name: "Apps" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Apps" })).toBeVisible();
  await expect(page.locator(`[data-app="${demo.client_id}"]`)).toContainText("Demo client");

  // What is wrong is said where it is wrong.
  await page.getByRole("button", { name: "Register an app" }).press("Enter");
  await page.getByRole("radio", { name: /Browser app/ }).press("Space");
  await page.getByLabel("Name", { exact: true }).fill("Picker page");
  await page.getByLabel("Redirect URIs").fill("https://app.example.org/cb\njavascript:alert(1)");
  await page.getByLabel("Origins").fill("https://app.example.org");
  await page.getByRole("button", { name: "Register the app" }).press("Enter");
  await expect(page.getByRole("alert")).toContainText("redirect URI");
  await expect(page.getByLabel("Redirect URIs")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByText("Line 2: A redirect URI")).toBeVisible();
  await everywhere(page, "registering an app", "register");
  await page.getByLabel("Redirect URIs").fill("https://app.example.org/cb");
  await page.getByRole("button", { name: "Register the app" }).click();
  const news = page.getByTestId("new-secret");
  await expect(news).toContainText("Picker page is ready");
  await expect(news.getByTestId("client-secret")).toHaveCount(0);
  await news.getByRole("button", { name: "Close" }).click();

  // A server with a secret.
  await page.getByRole("button", { name: "Register an app" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Course catalogue");
  await page.getByRole("button", { name: "Register the app" }).click();
  await expect(news).toContainText("Course catalogue is ready");
  const id = (await news.getByTestId("client-id").textContent())!;
  const first = (await news.getByTestId("client-secret").textContent())!;
  await everywhere(page, "the new secret", "secret");
  const answer = await token(demo.base_url, id, first);
  expect(answer.status).toBe(200);
  const { access_token } = (await answer.json()) as { access_token: string };
  const list = () =>
    fetch(`${demo.base_url}/v1/hubs/${demo.hub_id}/library`, { headers: { Authorization: `Bearer ${access_token}` } });
  expect((await list()).status).toBe(200);

  // A second secret beside the first.
  const row = page.locator(`[data-app="${id}"]`);
  await row.getByRole("button", { name: "New secret for Course catalogue" }).click();
  await accessible(page, "the question about the present secret");
  await page.getByRole("dialog").getByLabel("How long does the present secret go on working?").selectOption("3600");
  await page.getByRole("dialog").getByRole("button", { name: "Make a new secret" }).click();
  await expect(news.getByTestId("client-secret")).not.toHaveText(first);
  const second = (await news.getByTestId("client-secret").textContent())!;
  expect((await token(demo.base_url, id, first)).status).toBe(200);
  expect((await token(demo.base_url, id, second)).status).toBe(200);
  await expect(row).toContainText("works until");

  // It is not shown again.
  await page.reload();
  await expect(row).toContainText("Last used");
  expect(await page.content()).not.toContain(second);

  // Switched off, nothing of it works any more.
  await row.getByRole("button", { name: "Switch off Course catalogue" }).press("Enter");
  await expect(row).toContainText("Switched off");
  expect((await list()).status).toBe(401);
  expect((await token(demo.base_url, id, second)).status).toBe(401);
  await row.getByRole("button", { name: "Switch on Course catalogue" }).click();
  await expect(row.locator(".badge")).toHaveText("Enabled");
  expect((await list()).status).toBe(200);

  await row.getByRole("button", { name: "Delete Course catalogue" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await expect(row).toHaveCount(0);
  expect((await list()).status).toBe(401);
  expect(complaints).toEqual([]);
  await context.close();
});

test("the first start: a code makes an operator, who sets plans and names another", async ({ browser }) => {
  const server = await Server.start("--no-demo-operator", "--no-demo-media");
  try {
    const { demo } = server;
    const setup = () =>
      execFileSync(process.env.ISTHMUS_BIN ?? resolve(import.meta.dirname, "../bin/isthmus"), server.command("setup"), {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      }).trim();
    const context = await browser.newContext({ baseURL: demo.base_url });
    const complaints = watch(context, new URL(demo.base_url).origin);
    const page = await context.newPage();
    await signIn(page, server, person(server, "admin"));
    await expect(page.getByRole("link", { name: "Operator" })).toHaveCount(0);
    await page.goto("/operator");
    await expect(page.getByRole("heading", { name: /Only operators/ })).toBeVisible();
    await accessible(page, "closed operator pages");

    await page.getByRole("link", { name: "Set up" }).click();
    await page.getByLabel("Setup code").fill("WRONG-WRONG-WRONG-WRONG");
    await page.getByRole("button", { name: "Become the operator" }).press("Enter");
    await expect(page.getByRole("alert")).toContainText("not the setup code");
    await everywhere(page, "the first start", "setup");
    const code = setup();
    await page.getByLabel("Setup code").fill(code.toLowerCase().replaceAll("-", " "));
    await page.getByRole("button", { name: "Become the operator" }).press("Enter");
    await expect(page.getByRole("heading", { level: 1, name: "Hubs" })).toBeVisible();
    expect(setup).toThrow(/has an operator already/);

    // The operator's plan wins over the provider's.
    const hub = page.locator(`[data-hub="${demo.unconnected_hub_id}"]`);
    await hub.getByLabel("Plan", { exact: true }).selectOption("free");
    await hub.getByRole("button", { name: /^Save/ }).press("Enter");
    await expect(hub).toContainText("Without Kaltura");
    await everywhere(page, "hubs and plans", "hubs");
    await hub.getByLabel("Plan", { exact: true }).selectOption("provider");
    await hub.getByRole("button", { name: /^Save/ }).click();
    await expect(hub.locator(".badge")).toHaveText("Enterprise");
    await page.getByRole("button", { name: "Make a hub" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Mountain School");
    await page.getByLabel("Issuer").fill(`${demo.base_url}/demo-idp`);
    await page.getByLabel("External id").fill("mountain");
    await page.getByRole("button", { name: "Make the hub" }).press("Enter");
    await expect(page.getByRole("heading", { name: "Mountain School" })).toBeVisible();

    // Apps of all hubs.
    const pages = page.getByRole("navigation", { name: "Operator" });
    await pages.getByRole("link", { name: "Apps" }).click();
    await expect(page.locator(`[data-app="${demo.client_id}"]`)).toContainText("Lakeside University");
    await everywhere(page, "apps of all hubs", "operator-apps");

    // The only operator stays one.
    await pages.getByRole("link", { name: "Operators" }).click();
    await page.getByRole("button", { name: /^Remove Ada/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
    await expect(page.getByRole("alert")).toContainText("only operator");
    await page.getByLabel("Name", { exact: true }).fill("Otto");
    await page.getByLabel("Issuer").fill(`${demo.base_url}/demo-idp`);
    await page.getByLabel("Subject").fill("otto");
    await page.getByRole("button", { name: "Name as operator" }).press("Enter");
    await expect(page.getByRole("heading", { name: "Otto" })).toBeVisible();
    await everywhere(page, "operators", "operators");
    expect(complaints).toEqual([]);
    await context.close();
  } finally {
    await server.stop();
  }
});
