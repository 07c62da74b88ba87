// Who is who in Kaltura, what was done in the hub, and who is told of it: by keyboard, in both colour schemes and at 320 px.
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { accessible, expect, fits, person, signIn, test, watch } from "./base.ts";

test("people: search, dry run, merge, export", async ({ browser, server }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url, colorScheme: "dark" });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  for (const role of ["participant", "content_admin", "admin"] as const) {
    await signIn(page, server, person(server, role));
    await page.goto(`/hubs/${demo.hub_id}/library?source=kaltura`);
    await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
    // Whoever looks is mapped on first use.
    expect((await page.request.get(`/v1/hubs/${demo.hub_id}/media`)).status()).toBe(200);
    if (role !== "admin") await context.clearCookies();
  }
  await page.goto(`/hubs/${demo.hub_id}/settings/integrations/kaltura`);
  const people = page.getByTestId("mappings");
  const rows = people.getByRole("row");
  await expect(rows).toHaveCount(4);
  await people.getByLabel("Search").fill("ada adm");
  await expect(rows).toHaveCount(2);
  await people.getByLabel("Search").fill("nobody like that");
  await expect(people.getByText("Nobody is like that.")).toBeVisible();
  await people.getByLabel("Search").fill("");
  await people.getByLabel("How linked").selectOption("matched");
  await expect(people.getByRole("cell", { name: /ada@/ })).toHaveCount(0);
  await expect(people.getByRole("cell", { name: /carl\.curator/ })).toBeVisible();
  await people.getByLabel("How linked").selectOption("");

  const saved = page.waitForEvent("download");
  await people.getByRole("link", { name: "Export as CSV" }).press("Enter");
  const lines = readFileSync(await (await saved).path(), "utf8").trim().split("\n");
  expect(lines).toHaveLength(4);
  expect(lines[0]).toContain("name,email");

  await people.getByText("Try a change of the rules").press("Enter");
  await people.getByLabel("People see").selectOption("own");
  await people.getByRole("button", { name: "Try it" }).press("Enter");
  await people.getByRole("button", { name: /3 unchanged/ }).press("Enter");
  await expect(people.getByRole("list", { name: "People" }).getByRole("listitem")).toHaveCount(3);
  await accessible(page, "people with a dry run, dark");

  // A person's created user is merged into their real one, and taken back.
  await people.getByRole("button", { name: /Change the link of Ada/ }).press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Kaltura user id").fill("no.such.user");
  await dialog.getByRole("button", { name: "What would move?" }).press("Enter");
  await expect(dialog.getByRole("alert")).toContainText("no user with this id");
  await dialog.getByLabel("Kaltura user id").fill("carl.curator");
  await dialog.getByRole("button", { name: "What would move?" }).press("Enter");
  await expect(dialog.getByRole("alert")).toContainText("Somebody else is this Kaltura user");
  const real = JSON.parse(readFileSync(`${server.data}/demo.json`, "utf8")).kaltura.admin_email as string;
  await dialog.getByLabel("Kaltura user id").fill(real);
  await dialog.getByRole("button", { name: "What would move?" }).press("Enter");
  await expect(dialog.getByText(/would belong to/)).toBeVisible();
  await accessible(page, "merge preview");
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, "merge preview");
  await page.screenshot({ path: test.info().outputPath("merge-320.png") });
  await page.setViewportSize({ width: 1280, height: 860 });
  await dialog.getByRole("button", { name: /Link and move/ }).press("Enter");
  await expect(dialog.getByText(`ada@lakeside.example → ${real}`)).toBeVisible();
  await expect(dialog.getByRole("button", { name: "Cancel" })).toHaveCount(0);
  await dialog.getByRole("button", { name: "Close" }).last().press("Enter");
  await expect(people.getByRole("cell", { name: real })).toBeVisible();
  await page.screenshot({ path: test.info().outputPath("people.png"), fullPage: true });
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, "people");
  await accessible(page, "people at 320 px");
  await page.screenshot({ path: test.info().outputPath("people-320.png"), fullPage: true });
  expect(complaints).toEqual([]);
  await context.close();
});

test("audit: sentences, filter, export, a log that was tampered with", async ({ browser, server }) => {
  const { demo } = server;
  const context = await browser.newContext({ baseURL: demo.base_url, colorScheme: "light" });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  await signIn(page, server, person(server, "admin"));
  expect((await page.request.get(`/v1/hubs/${demo.hub_id}/mappings/export`)).status()).toBe(200);
  await page.goto(`/hubs/${demo.hub_id}/settings/audit`);
  await expect(page.getByText("The log is as it was written")).toBeVisible();
  const log = page.getByRole("list", { name: "What happened, newest first" });
  await expect(log.getByText("exported the list of people and their Kaltura users.").first()).toBeVisible();
  await page.getByLabel("What", { exact: true }).selectOption("mapping.");
  await expect(log.getByText("exported the list of people")).not.toHaveCount(0);
  await page.getByLabel("What", { exact: true }).selectOption("webhook.");
  await expect(page.getByText("Nothing like that happened.")).toBeVisible();
  await page.getByLabel("What", { exact: true }).selectOption("mapping.");
  const who = page.getByLabel("Who", { exact: false });
  await who.fill("nobody like that");
  await expect(page.getByText("Nothing like that happened.")).toBeVisible();
  await who.fill(person(server, "admin").email.toUpperCase());
  await expect(log.getByText("exported the list of people")).not.toHaveCount(0);
  const first = log.getByRole("listitem").first();
  await first.locator("summary").press("Enter");
  await expect(first.getByText("Fingerprint")).toBeVisible();
  await accessible(page, "audit");
  await page.screenshot({ path: test.info().outputPath("audit.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, "audit");
  await accessible(page, "audit, dark, 320 px");
  await page.screenshot({ path: test.info().outputPath("audit-320.png"), fullPage: true });

  const saved = page.waitForEvent("download");
  await page.getByRole("link", { name: "Export as JSON lines" }).press("Enter");
  const lines = readFileSync(await (await saved).path(), "utf8").trim().split("\n").map((l) => JSON.parse(l));
  expect(lines.at(-1).checkpoint).toMatch(/^\d+:[0-9a-f]{64}$/);
  expect(lines.slice(0, -1).every((l) => l.action.startsWith("mapping."))).toBe(true);

  // What the server says of a log that was changed past it is tested where it can be changed (store/audit_test.go).
  await page.route("**/audit/verify*", async (route) => {
    const real = await (await route.fetch()).json();
    const broken = { kind: "changed", seq: 2, id: "aud_x", text: "Record 2 was changed after it was written." };
    await route.fulfill({ json: { ...real, intact: false, broken } });
  });
  await page.reload();
  await expect(page.getByRole("alert")).toContainText("This log was tampered with. Record 2 was changed");
  await accessible(page, "audit, tampered");
  await page.screenshot({ path: test.info().outputPath("audit-tampered.png") });
  expect(complaints).toEqual([]);
  await context.close();
});

test("webhooks: add, the secret once, messages, send again, send what was missed", async ({ browser, server }) => {
  const { demo } = server;
  const got: { id: string; type: string; header: IncomingHttpHeaders; body: string }[] = [];
  const receiver = createServer(async (req, res) => {
    let body = "";
    for await (const part of req.setEncoding("utf8")) body += part;
    got.push({ id: String(req.headers["webhook-id"]), type: JSON.parse(body).type, header: req.headers, body });
    res.writeHead(204).end();
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/in`;
  const context = await browser.newContext({ baseURL: demo.base_url });
  const complaints = watch(context, new URL(demo.base_url).origin);
  const page = await context.newPage();
  await signIn(page, server, person(server, "admin"));
  const settings = `/hubs/${demo.hub_id}/settings/integrations/kaltura`;
  await page.goto(settings);
  const hooks = page.getByTestId("webhooks");
  await hooks.getByText("Add an endpoint").press("Enter");
  await hooks.getByLabel("Address").fill(url);
  await hooks.getByRole("button", { name: "Add endpoint" }).press("Enter");
  const secret = (await hooks.getByTestId("webhook-secret-value").textContent())!;
  const row = hooks.locator("[data-webhook]", { hasText: url });
  await row.getByRole("button", { name: /^Send a test/ }).press("Enter");
  await expect.poll(() => got.map((m) => m.type)).toEqual(["webhook.test"]);
  expect(new Webhook(secret).verify(got[0]!.body, got[0]!.header as Record<string, string>)).toMatchObject({ type: "webhook.test" });

  await row.locator("summary", { hasText: "Messages" }).press("Enter");
  const messages = row.getByRole("list", { name: "Messages" });
  const look = row.getByRole("button", { name: "Look again" });
  await expect(async () => {
    await look.press("Enter");
    await expect(messages.getByRole("listitem").first()).toContainText("Taken", { timeout: 500 });
  }).toPass();
  await accessible(page, "webhooks");
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, "webhooks");
  await page.setViewportSize({ width: 1280, height: 860 });
  await row.getByRole("button", { name: /^Send webhook.test/ }).press("Enter");
  await expect.poll(() => got.length).toBe(2);
  expect(got[1]!.id).toBe(got[0]!.id);

  // What happens while it is off is sent later.
  await row.getByRole("button", { name: /^Switch off/ }).press("Enter");
  await expect(row).toContainText("Switched off");
  const connection = `/v1/hubs/${demo.hub_id}/integrations/kaltura`;
  const change = async (mapping_mode?: string) => {
    const now = await page.request.get(connection);
    const headers = { "If-Match": now.headers().etag! };
    expect((await page.request.patch(connection, { headers, data: { mapping_mode } })).status()).toBe(200);
    return (await now.json()).mapping_mode as string;
  };
  await change(await change("needs_approval"));
  await row.getByRole("button", { name: /^Switch on/ }).press("Enter");
  await expect(row).toContainText("Working");
  await row.getByText("Send what was missed").press("Enter");
  await row.getByRole("button", { name: "Send", exact: true }).press("Enter");
  await expect.poll(() => got.filter((m) => m.type === "integration.changed").length).toBeGreaterThan(1);

  await page.reload();
  await expect(row).toContainText("Working");
  expect(await page.content()).not.toContain(secret);
  await row.getByRole("button", { name: /^Remove/ }).press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).press("Enter");
  await expect(row).toHaveCount(0);
  expect(complaints).toEqual([]);
  await context.close();
  receiver.close();
});
