// The media library in other sites' pages: what they get, what they cannot do, and how people use it.
import type { BrowserContext, FrameLocator, Page } from "@playwright/test";
import { accessible, expect, test } from "./base.ts";
import { type App, callAPI, demoApp, register, Site, tokenOf } from "./host.ts";
import type { Demo } from "./server.ts";

const scopes = ["media:read", "media:import", "library:read"];

interface Picked {
  source: string;
  id: string;
  entry_id: string;
  name: string;
  type: string;
  is_360: boolean;
  thumbnail_url: string;
  playback: { dash?: string; expires_at: string };
  renew_url: string;
}

/** A page whose button opens the picker; what the host is told is in `window.told`. */
const hostPage = (base: string, options: string) => `<!doctype html><html lang="en"><title>Host</title>
<main><h1>Lesson</h1><button id="insert">Insert media</button></main>
<script type="module">
  import { open } from "${base}/embed/v1.js";
  window.told = [];
  const tell = (what) => (value) => window.told.push([what, value]);
  document.querySelector("#insert").onclick = () => (window.picker = open({
    token: (why) => { tell("token")(why.expired); return fetch("/token", { method: "POST" }).then((r) => r.text()); },
    onInsert: tell("insert"), onCancel: tell("cancel"), onError: tell("error"), ${options}
  }));
</script></html>`;

const told = (page: Page, what: string): Promise<unknown[]> =>
  page.evaluate((w) => (window as unknown as { told: [string, unknown][] }).told.filter((t) => t[0] === w).map((t) => t[1]), what);

const frameOf = (page: Page): FrameLocator => page.frameLocator("iframe");

async function opened(page: Page, origin: string): Promise<FrameLocator> {
  await page.goto(origin);
  await page.getByRole("button", { name: "Insert media" }).click();
  const frame = frameOf(page);
  await expect(frame.getByRole("heading", { name: "Media library" })).toBeVisible();
  return frame;
}

/** Notes each request that shows the server a cookie, though the browser has one for it, or an address that holds a token. */
async function watchSecrets(context: BrowserContext): Promise<() => string[]> {
  await context.addCookies([{ name: "session", value: "of-somebody", url: demo.base_url, sameSite: "Lax" }]);
  const seen: { url: string; cookie: boolean }[] = [];
  context.on("request", async (r) => {
    const headers = await r.allHeaders().catch(() => ({}) as Record<string, string>);
    seen.push({ url: r.url(), cookie: "cookie" in headers });
  });
  return () => seen.filter((s) => s.cookie || given.some((token) => s.url.includes(token))).map((s) => s.url);
}

let app: App;
let site: Site;
let demo: Demo;
const pages: Record<string, string> = {};
const given: string[] = []; // tokens

async function give(): Promise<string> {
  const token = await tokenOf(demo, app);
  given.push(token);
  return token;
}

test.beforeAll(async ({ server }) => {
  demo = server.demo;
  site = await Site.start(pages, give);
  app = await register(demo, [site.origin], scopes);
  pages["/"] = hostPage(demo.base_url, "multiple: true");
  pages["/one"] = hostPage(demo.base_url, 'types: ["video"], theme: "dark"');
  pages["/inline"] = `<!doctype html><html lang="en"><title>Inline</title><h1>Page</h1>
    <script type="module" src="${demo.base_url}/embed/v1.js"></script>
    <isthmus-media-library client="${app.id}" types="image"></isthmus-media-library>
    <script type="module">
      window.told = [];
      const library = document.querySelector("isthmus-media-library");
      for (const what of ["insert", "cancel", "error"]) library.addEventListener(what, (e) => window.told.push([what, e.detail]));
      library.token = () => fetch("/token", { method: "POST" }).then((r) => r.text());
    </script></html>`;
  // The demo's own media may still be packaged.
  await expect
    .poll(
      async () => {
        const list = await callAPI<{ items: { status: string }[] }>(demo, "GET", `/v1/hubs/${demo.hub_id}/media?limit=100`);
        return list.items.length >= 4 && list.items.every((m) => m.status === "ready");
      },
      { timeout: 150_000 },
    )
    .toBe(true);
});
test.afterAll(() => site.stop());

test("people choose and the page gets it, without a cookie", async ({ browser }) => {
  const context = await browser.newContext();
  const leaks = await watchSecrets(context);
  const page = await context.newPage();
  const frame = await opened(page, site.origin);
  await expect(page.getByRole("dialog", { name: "Media library" })).toBeVisible();
  await frame.getByRole("tab", { name: "From Kaltura" }).click();
  await frame.getByRole("searchbox").fill("harbour");
  const card = frame.locator("button.media");
  await expect(card).toHaveCount(1);
  // The picture comes by its ticket alone.
  await expect.poll(() => card.locator("img").evaluate((i: HTMLImageElement) => i.complete && i.naturalWidth)).toBeGreaterThan(0);
  // It plays in the preview.
  await card.click();
  await expect(frame.locator(".stage[data-ready=true]")).toBeVisible({ timeout: 60_000 });
  await frame.getByRole("button", { name: "Select this" }).click();
  await expect(frame.getByTestId("chosen")).toHaveText("1 item selected");
  await frame.getByRole("button", { name: "Clear the search" }).click();
  await frame.getByRole("checkbox", { name: "Select Courtyard in 360" }).check();
  await expect(frame.getByTestId("chosen")).toHaveText("2 items selected");
  await frame.getByRole("button", { name: "Insert" }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Insert media" })).toBeFocused();

  const [items] = (await told(page, "insert")) as [Picked[]];
  expect(items.map((i) => [i.name, i.type, i.source, i.is_360])).toEqual([
    ["Harbour at noon", "video", "kaltura", false],
    ["Courtyard in 360", "video", "kaltura", true],
  ]);
  for (const i of items) {
    expect(i.entry_id).toBe(i.id);
    expect(Date.parse(i.playback.expires_at)).toBeGreaterThan(Date.now());
    // The page itself can show and play it: addresses are whole, and open to other origins.
    const shown = await page.evaluate(async ([thumb, dash]) => {
      const img = new Image();
      img.src = thumb!;
      await img.decode();
      return [img.naturalWidth > 0, (await (await fetch(dash!)).text()).includes("<MPD")];
    }, [i.thumbnail_url, i.playback.dash]);
    expect(shown).toEqual([true, true]);
    const renewed = await fetch(i.renew_url, { headers: { Authorization: `Bearer ${await tokenOf(demo, app)}` } });
    expect(renewed.status).toBe(200);
  }
  expect(await told(page, "error")).toEqual([]);
  expect(given.length).toBeGreaterThan(0);
  expect(leaks()).toEqual([]);
  expect(page.frames()).toHaveLength(1);
  await context.close();
});

test("with the keyboard: Space selects, Escape cancels and gives the focus back; axe, 320 px, dark", async ({ browser }) => {
  const context = await browser.newContext({ viewport: { width: 320, height: 640 } });
  const page = await context.newPage();
  const frame = await opened(page, `${site.origin}/one`);
  await frame.getByRole("tab", { name: "From Kaltura" }).click();
  const cards = frame.locator("button.media");
  await expect(cards.filter({ hasText: "Harbour at noon" })).toBeVisible();
  // Only what was asked for is offered.
  await expect(cards.filter({ hasText: "Reading room" })).toHaveCount(0);
  await cards.first().focus();
  await page.keyboard.press("Space");
  await expect(frame.getByTestId("chosen")).toHaveText("1 item selected");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Space");
  // One at a time: the other takes its place.
  await expect(frame.getByTestId("chosen")).toHaveText("1 item selected");
  await expect(frame.locator("li.chosen")).toHaveCount(1);
  const inner = page.frames().find((f) => f.url().includes("/embed/picker"))!;
  const look = await inner.evaluate(() => ({
    fits: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
    dark: getComputedStyle(document.documentElement).colorScheme,
    history: history.length,
  }));
  expect(look.fits).toBe(true);
  expect(look.dark).toBe("dark");
  await accessible(page, "the picker");
  // Escape closes the preview first, then the picker.
  await cards.first().focus();
  await page.keyboard.press("Enter");
  await expect(frame.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(frame.getByRole("dialog")).toHaveCount(0);
  await cards.first().focus();
  // The key comes up when the frame is gone: Chromium would never answer for one that goes in between.
  await page.keyboard.down("Escape");
  await expect(page.locator("iframe")).toHaveCount(0);
  await page.keyboard.up("Escape");
  await expect(page.getByRole("button", { name: "Insert media" })).toBeFocused();
  expect(await told(page, "cancel")).toHaveLength(1);
  expect(await told(page, "insert")).toEqual([]);
  await context.close();
});

test("as part of a page it inserts and stays", async ({ page }) => {
  await page.goto(`${site.origin}/inline`);
  const frame = page.locator("isthmus-media-library").first().frameLocator("iframe");
  await frame.getByRole("tab", { name: "From Kaltura" }).click();
  await expect(frame.getByRole("button", { name: "Cancel" })).toHaveCount(0);
  await frame.getByRole("checkbox", { name: "Select Reading room in 360" }).check();
  await frame.getByRole("button", { name: "Insert" }).click();
  await expect.poll(() => told(page, "insert")).toHaveLength(1);
  await expect(frame.getByTestId("chosen")).toHaveText("Nothing selected");
  // Another one on the same page is another choice, told to another listener.
  await page.evaluate(() => {
    const first = document.querySelector("isthmus-media-library")!;
    const second = first.cloneNode() as HTMLElement & { token: unknown };
    second.addEventListener("insert", (e) => (window as unknown as { told: unknown[] }).told.push(["second", (e as CustomEvent).detail]));
    second.token = () => fetch("/token", { method: "POST" }).then((r) => r.text());
    first.after(second);
  });
  const other = page.locator("isthmus-media-library").nth(1).frameLocator("iframe");
  await other.getByRole("tab", { name: "From Kaltura" }).click();
  await other.getByRole("checkbox", { name: "Select Reading room in 360" }).check();
  await expect(frame.getByTestId("chosen")).toHaveText("Nothing selected");
  await other.getByRole("button", { name: "Insert" }).click();
  await expect.poll(() => told(page, "second")).toHaveLength(1);
  expect(await told(page, "insert")).toHaveLength(1);
});

test("a token that ends is renewed by the page around, once for all requests", async ({ page }) => {
  // The server refuses what the first token asks from now on, as if it had ended.
  let refused = 0;
  let first = "";
  await page.route("**/v1/hubs/**", async (route) => {
    const bearer = (await route.request().allHeaders()).authorization ?? "";
    first ||= bearer;
    if (bearer !== first) return route.continue();
    refused++;
    await route.fulfill({ status: 401, contentType: "application/problem+json", body: '{"code":"invalid_token","status":401}' });
  });
  const frame = await opened(page, site.origin);
  await frame.getByRole("tab", { name: "From Kaltura" }).click();
  await expect(frame.locator("button.media").filter({ hasText: "Harbour at noon" })).toBeVisible();
  expect(refused).toBeGreaterThan(0);
  expect(await told(page, "token")).toEqual([false, true]);
});

test("only registered origins show it", async ({ page }) => {
  const other = await Site.start({ "/": hostPage(demo.base_url, "") }, () => tokenOf(demo, app));
  try {
    await page.goto(other.origin);
    await page.getByRole("button", { name: "Insert media" }).click();
    // The page learns why, and so does the person.
    await expect.poll(() => told(page, "error"), { timeout: 30_000 }).toEqual([expect.objectContaining({ code: "origin_refused" })]);
    await expect(page.getByRole("alert")).toContainText("may not be shown on this site");
    await page.getByRole("button", { name: "Cancel" }).click();
    await expect(page.getByRole("dialog")).toHaveCount(0);
    expect(await told(page, "cancel")).toHaveLength(1);
  } finally {
    await other.stop();
  }
});

test("who may frame what", async () => {
  const ancestors = async (path: string) => {
    const r = await fetch(demo.base_url + path);
    const policy = r.headers.get("Content-Security-Policy") ?? "";
    return [r.status, /frame-ancestors ([^;]*)/.exec(policy)?.[1], r.headers.get("X-Frame-Options")];
  };
  expect(await ancestors(`/embed/picker?client=${app.id}`)).toEqual([200, site.origin, null]);
  for (const path of ["/embed/picker", "/embed/picker?client=cli_nobody", `/embed/picker?client=${demoApp(demo).id}`]) {
    expect(await ancestors(path), path).toEqual([403, "'none'", "DENY"]);
  }
  for (const path of ["/", `/hubs/${demo.hub_id}/library`, "/docs", "/picker.html"]) {
    const [, who, old] = await ancestors(path);
    expect([who, old], path).toEqual(["'none'", "DENY"]);
  }
  // A disabled client shows nothing any more.
  const gone = await register(demo, [site.origin], scopes);
  expect((await ancestors(`/embed/picker?client=${gone.id}`))[0]).toBe(200);
  const { etag } = await callAPI<{ etag: string }>(demo, "GET", `/v1/hubs/${demo.hub_id}/clients/${gone.id}`);
  await callAPI(demo, "PATCH", `/v1/hubs/${demo.hub_id}/clients/${gone.id}`, { enabled: false }, { "If-Match": etag });
  expect(await ancestors(`/embed/picker?client=${gone.id}`)).toEqual([403, "'none'", "DENY"]);
});

test("tokens that do not fit are told to the host and to the person", async ({ page }) => {
  const another = await register(demo, ["https://another.example"], scopes);
  const shown: Record<string, string> = {};
  const mixed = await Site.start(shown, () => tokenOf(demo, another));
  const broken = await Site.start(shown, async () => "no.such.token");
  const own = await register(demo, [mixed.origin, broken.origin], scopes);
  shown["/"] = hostPage(demo.base_url, `client: "${own.id}"`);
  try {
    for (const [at, code] of [
      [mixed, "token_of_another_client"],
      [broken, "token_refused"],
    ] as const) {
      await page.goto(at.origin);
      await page.getByRole("button", { name: "Insert media" }).click();
      await expect.poll(() => told(page, "error"), { message: code }).toEqual([expect.objectContaining({ code })]);
      await expect(page.getByRole("alert")).toBeVisible();
    }
  } finally {
    await mixed.stop();
    await broken.stop();
  }
});

test("a message from anybody but the page around means nothing to the frame", async ({ page }) => {
  await page.goto(site.origin);
  // A frame that was greeted by nobody, and is then greeted by a frame inside the page that has another origin.
  const other = await Site.start({
    "/": `<!doctype html><title>Inner</title><script>
      addEventListener("message", () => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => parent.postMessage("answered", "*");
        parent.frames[0].postMessage({ isthmus: "picker/1", wishes: { types: [], multiple: false, theme: "auto", modal: true }, token: "x" }, "*", [channel.port2]);
      });</script>`,
  });
  try {
    await page.evaluate(
      async ([picker, inner]) => {
        const frame = async (src: string) => {
          const f = document.createElement("iframe");
          f.src = src;
          const loaded = new Promise((done) => f.addEventListener("load", done));
          document.body.append(f);
          await loaded;
          return f;
        };
        const said: unknown[] = [];
        Object.assign(window, { said });
        addEventListener("message", (e) => said.push(e.data));
        await frame(picker!);
        const f = await frame(inner!);
        f.contentWindow!.postMessage("go", "*");
        // The page around may; its answer comes after that to the other would have.
        await new Promise((done) => setTimeout(done, 300));
        const channel = new MessageChannel();
        const answer = new Promise((done) => {
          channel.port1.onmessage = (e) => done(e.data.kind);
        });
        window.frames[0]!.postMessage({ isthmus: "picker/1", wishes: { types: [], multiple: false, theme: "auto", modal: true }, token: "x" }, "*", [channel.port2]);
        said.push(await answer);
      },
      [`${demo.base_url}/embed/picker?client=${app.id}`, other.origin],
    );
    expect(await page.evaluate(() => (window as unknown as { said: unknown[] }).said)).toEqual(["hello"]);
  } finally {
    await other.stop();
  }
});
