import { AxeBuilder } from "@axe-core/playwright";
import { type BrowserContext, test as plain, expect, type Locator, type Page } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { type Files, makeFiles } from "./fixtures.ts";
import { type Person, Server } from "./server.ts";

export { expect };

export const test = plain.extend<object, { database: string; server: Server; files: Files }>({
  database: ["", { option: true, scope: "worker" }],
  server: [
    async ({ database }, use) => {
      const s = await Server.startOn(database, "--allow-webhook-networks", "127.0.0.0/8"); // receivers of tests
      await use(s);
      await s.stop();
    },
    { scope: "worker", timeout: 180_000 },
  ],
  files: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright wants the pattern
    async ({}, use) => {
      const f = makeFiles();
      await use(f);
      f.remove();
    },
    { scope: "worker", timeout: 180_000 },
  ],
});

export function person(server: Server, role: Person["role"]): Person {
  return server.demo.people.find((p) => p.role === role)!;
}

/** Signs in through the demo identity provider, as a person would. */
export async function signIn(page: Page, server: Server, who: Person): Promise<void> {
  await page.goto(server.demo.base_url);
  await page.getByRole("main").getByRole("link", { name: "Sign in" }).click();
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: /sign in/i }).click();
  await expect(page.getByRole("heading", { name: "Media library" })).toBeVisible();
}

/** Fails on anything the page complains about: errors, refused content, requests to elsewhere. */
export function watch(context: BrowserContext, origin: string): string[] {
  const complaints: string[] = [];
  context.on("weberror", (e) => complaints.push(`error: ${e.error().message}`));
  context.on("console", (m) => {
    const text = m.text();
    if (m.type() === "error" && /Content Security Policy|Refused to/.test(text)) complaints.push(text);
  });
  context.on("request", (r) => {
    const url = new URL(r.url());
    if (["http:", "https:"].includes(url.protocol) && url.origin !== origin) complaints.push(`request to ${url.origin}`);
  });
  return complaints;
}

/** No accessibility violation, WCAG 2.2 A and AA and the good practices of axe. */
export async function accessible(page: Page, what: string): Promise<void> {
  // A colour on its way from one theme to the other is judged by neither; on a busy machine it sets out only frames later.
  await page.evaluate(async () => {
    for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
    for (const a of document.getAnimations()) if (Number.isFinite(a.effect?.getComputedTiming().endTime)) a.finish();
  });
  const found = await new AxeBuilder({ page }).analyze();
  const lines = found.violations.map((v) => `${v.id}: ${v.help}\n    ${v.nodes.map((n) => `${n.target.join(" ")} ${n.failureSummary}`).join("\n    ")}`);
  expect(lines, `axe on ${what}`).toEqual([]);
}

/** Nothing is cut off sideways at the present width. */
export async function fits(page: Page, what: string): Promise<void> {
  const [have, need] = await page.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]);
  expect(need, `${what} scrolls sideways`).toBeLessThanOrEqual(have!);
}

/** Looks at the page wide in the light and narrow in the dark; with KEEP_SCREENSHOTS=1 a person can look, too. */
export async function everywhere(page: Page, what: string, name: string): Promise<void> {
  const keep = async (path: string) => {
    if (process.env.KEEP_SCREENSHOTS) await page.screenshot({ path: test.info().outputPath(path), fullPage: true });
  };
  await accessible(page, what);
  await keep(`${name}.png`);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 640, height: 430 }); // a zoom of 200 %
  await fits(page, `${what}, twice as large`);
  await page.setViewportSize({ width: 320, height: 640 });
  await fits(page, what);
  await accessible(page, `${what}, dark, at 320 px`);
  await keep(`${name}-320.png`);
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 860 });
}

/** A picture for the documentation, when they are to be made anew. */
export async function picture(page: Page, name: string): Promise<void> {
  if (!process.env.UPDATE_SCREENSHOTS) return;
  const dir = resolve(import.meta.dirname, "../docs");
  mkdirSync(dir, { recursive: true });
  await page.screenshot({ path: resolve(dir, `${name}.png`) });
}

/** The middle of a viewer as pixels, without its controls. */
export async function view(page: Page, stage: Locator): Promise<string> {
  const box = (await stage.boundingBox())!;
  const clip = { x: box.x + box.width * 0.15, y: box.y + box.height * 0.12, width: box.width * 0.7, height: box.height * 0.5 };
  return (await page.screenshot({ clip })).toString("base64");
}

/** Waits until the picture stands still and gives it. */
export async function still(page: Page, stage: Locator): Promise<string> {
  let last = "";
  await expect
    .poll(
      async () => {
        const now = await view(page, stage);
        const same = now === last;
        last = now;
        return same;
      },
      { message: "the picture stands still", timeout: 30_000, intervals: [500] },
    )
    .toBe(true);
  return last;
}

/** Waits until the view is another one than before. */
export async function turned(page: Page, stage: Locator, before: string, by: string): Promise<string> {
  await expect.poll(() => view(page, stage), { message: `the view turns by ${by}`, timeout: 15_000 }).not.toBe(before);
  return still(page, stage);
}
