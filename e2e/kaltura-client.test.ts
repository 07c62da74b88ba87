// The official Kaltura client for Node against `isthmus sandbox`, over real HTTP: everything that an
// application does from its session to a picture on the screen. Every step is told in the test log.
import { expect, test } from "@playwright/test";
import kaltura from "kaltura-client";
import { execFileSync } from "node:child_process";
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Sandbox } from "./sandbox.ts";

const { services, objects, enums } = kaltura;
const version = (createRequire(import.meta.url)("kaltura-client/package.json") as { version: string }).version;

interface Session {
  ks: string;
}
interface Info {
  userId: string;
  sessionType: string | number;
  privileges: string;
}
interface Token {
  id: string;
  status: number;
  uploadedFileSize: string;
}
interface Entry {
  id: string;
  name: string;
  status: number;
  userId: string;
  duration: number;
  thumbnailUrl: string;
  dataUrl: string;
}
interface Flavor {
  id: string;
  isOriginal: boolean;
  status: number;
  height: number;
}
interface List<T> {
  objectType: string;
  totalCount: number;
  objects: T[];
}

/** Gives the code of the exception that a call ends with. */
async function refused(call: Promise<unknown>): Promise<string> {
  try {
    return `no exception but ${JSON.stringify(await call)}`;
  } catch (e) {
    const { code, message, objectType } = e as Record<string, string>;
    expect(objectType).toBe("KalturaAPIException");
    expect(message).toBeTruthy();
    return code!;
  }
}

/** A session made without the server, in form 2 of Kaltura's session strings. */
function localSession(partner: number, secret: string, user: string, type: number, expiry: number, privileges: string): string {
  const fields = new URLSearchParams();
  for (const p of privileges.split(",")) fields.set(p.split(":")[0]!, p.split(":")[1] ?? "");
  fields.set("_e", String(expiry));
  fields.set("_t", String(type));
  fields.set("_u", user);
  const sha1 = (b: Buffer | string) => createHash("sha1").update(b).digest();
  const body = Buffer.concat([randomBytes(16), Buffer.from(fields.toString())]);
  const signed = Buffer.concat([sha1(body), body]);
  const padded = Buffer.concat([signed, Buffer.alloc((16 - (signed.length % 16)) % 16)]);
  const cipher = createCipheriv("aes-128-cbc", sha1(secret).subarray(0, 16), Buffer.alloc(16)).setAutoPadding(false);
  const text = Buffer.concat([Buffer.from(`v2|${partner}|`), cipher.update(padded), cipher.final()]).toString("base64");
  return text.replaceAll("+", "-").replaceAll("/", "_");
}

test(`kaltura-client ${version} against isthmus sandbox`, async ({ page }) => {
  const sandbox = await Sandbox.start();
  const dir = mkdtempSync(join(tmpdir(), "isthmus-client-"));
  try {
    await walk(page, sandbox, dir);
    expect(await sandbox.stop(), "exit code after SIGTERM").toBe(0);
  } finally {
    await sandbox.stop();
    rmSync(dir, { recursive: true, force: true });
  }
});

async function walk(page: import("@playwright/test").Page, sandbox: Sandbox, dir: string): Promise<void> {
  const { account } = sandbox;
  const say = (step: string, found: string) => console.log(`  kaltura-client ${version}: ${step}: ${found}`);
  const client = (ks?: string) => {
    const config = new kaltura.Configuration();
    config.serviceUrl = account.service_url;
    config.setLogger({}); // its own prints every request, with the secrets
    return new kaltura.Client(config).setKs(ks ?? null);
  };
  const fetched = async (url: string, init?: RequestInit) => {
    const r = await fetch(url, init);
    expect(r.ok, `${r.status} of ${url}`).toBe(true);
    return Buffer.from(await r.arrayBuffer());
  };

  const [appToken] = account.app_tokens;
  const fromAppToken = async (user: string, type: unknown) => {
    const widget = await services.session.startWidgetSession!(account.widget_id).execute<Session>(client());
    const proof = createHash("sha256").update(widget.ks + appToken!.token).digest("hex");
    return client((await services.appToken.startSession!(appToken!.id, proof, user, type).execute<Session>(client(widget.ks))).ks);
  };
  const { USER, ADMIN } = enums.SessionType!;
  const admin = await fromAppToken("integration", ADMIN);
  const info = await services.session.get!().execute<Info>(admin);
  expect(info).toMatchObject({ userId: "integration", sessionType: "2", privileges: expect.stringContaining("sview:*") as unknown });
  say("session from an App Token", `administrator, ${info.privileges.replaceAll(appToken!.id, "ID")}`);

  const added = await services.user.add!(
    new objects.User!({ id: "pia", email: "pia@lakeside.example", firstName: "Pia", lastName: "Przybilla" }),
  ).execute<{ id: string; fullName: string }>(admin);
  expect(added).toMatchObject({ id: "pia", fullName: "Pia Przybilla" });
  const pia = await fromAppToken("pia", USER);
  say("user.add", `${added.id} (${added.fullName}), who has a session of her own now`);

  const file = join(dir, "clip.mp4");
  execFileSync("ffmpeg", [
    ...["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=6,noise=alls=20:allf=t", "-f", "lavfi", "-i", "sine=duration=6"],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "6M", "-pix_fmt", "yuv420p", "-g", "30", "-c:a", "aac", "-shortest", file],
  ]);
  const bytes = readFileSync(file);
  const token = await services.uploadToken.add!(new objects.UploadToken!({ fileName: "clip.mp4", fileSize: bytes.length })).execute<Token>(pia);
  const size = Math.ceil(bytes.length / 6);
  const sent: number[] = [];
  const order = [0, 3, 1, 4, 2, 5];
  let last: Token | undefined;
  for (const n of order) {
    const chunk = bytes.subarray(n * size, (n + 1) * size);
    last = await services.uploadToken.upload!(token.id, chunk, n !== 0, n === 5, n * size).execute<Token>(pia);
    sent.push(Number(last.uploadedFileSize));
  }
  expect(last).toMatchObject({ id: token.id, status: enums.UploadTokenStatus!.FULL_UPLOAD, uploadedFileSize: String(bytes.length) });
  say("uploadToken.upload", `${bytes.length} bytes in chunks ${order.join(", ")}; uploadedFileSize after each: ${sent.join(", ")}`);

  const entry = await services.media.add!(
    new objects.MediaEntry!({ name: "Ünïted & <clip>", mediaType: enums.MediaType!.VIDEO, tags: "Sandbox,clip", referenceId: "ref-1" }),
  ).execute<Entry>(pia);
  const filled = await services.media.addContent!(entry.id, new objects.UploadedFileTokenResource!({ token: token.id })).execute<Entry>(pia);
  expect(filled).toMatchObject({ id: entry.id, userId: "pia", name: "Ünïted & <clip>", tags: "sandbox, clip" });
  say("media.add, media.addContent", `entry ${entry.id}, status ${filled.status}`);

  for (let i = 1; i <= 5; i++) {
    await services.media.add!(new objects.MediaEntry!({ name: `Draft ${i}`, mediaType: enums.MediaType!.VIDEO, tags: `draft,number-${i}` })).execute(pia);
  }
  const list = (filter: object, pageSize = 30, pageIndex = 1) =>
    services.media.listAction!(new objects.MediaEntryFilter!(filter), new objects.FilterPager!({ pageSize, pageIndex })).execute<List<Entry>>(pia);
  const drafts = { tagsLike: "draft", statusIn: String(enums.EntryStatus!.NO_CONTENT), orderBy: "+name" };
  const pages: string[][] = [];
  for (const n of [1, 2, 3, 4]) {
    const found = await list(drafts, 2, n);
    expect(found).toMatchObject({ objectType: "KalturaMediaListResponse", totalCount: 5 });
    pages.push(found.objects.map((e) => e.name));
  }
  expect(pages).toEqual([["Draft 1", "Draft 2"], ["Draft 3", "Draft 4"], ["Draft 5"], []]);
  expect((await list({ tagsLike: "draft" })).totalCount, "only READY entries unless asked otherwise").toBe(0);
  expect((await list({ ...drafts, tagsMultiLikeOr: "number-2,number-4" })).objects.map((e) => e.name)).toEqual(["Draft 2", "Draft 4"]);
  say("media.list", `5 drafts in pages ${JSON.stringify(pages)}; filters by tag, status and order`);

  const started = Date.now();
  let ready = await services.media.get!(entry.id).execute<Entry>(pia);
  await expect
    .poll(async () => (ready = await services.media.get!(entry.id).execute<Entry>(pia)).status, { timeout: 120_000, message: "the entry is READY" })
    .toBe(Number(enums.EntryStatus!.READY));
  expect(ready).toMatchObject({ duration: 6, width: 640, height: 360 });
  expect((await list({ idEqual: entry.id })).totalCount).toBe(1);
  say("READY", `${((Date.now() - started) / 1000).toFixed(1)} s after the listing, ${ready.duration} s long`);

  const flavors = await services.flavorAsset.listAction!(new objects.FlavorAssetFilter!({ entryIdEqual: entry.id })).execute<List<Flavor>>(pia);
  const original = flavors.objects.find((f) => f.isOriginal)!;
  const address = await services.flavorAsset.getUrl!(original.id).execute<string>(pia);
  expect((await fetched(address)).equals(bytes), "the original is what was uploaded").toBe(true);
  expect((await fetched(address, { headers: { Range: "bytes=1000-1999" } })).equals(bytes.subarray(1000, 2000))).toBe(true);
  say("flavorAsset.list, flavorAsset.getUrl", `${flavors.totalCount} flavors (${flavors.objects.map((f) => `${f.height}p`).join(", ")}); the original has the bytes that were sent`);

  const play = `${account.service_url}/p/${account.partner_id}/sp/${account.partner_id}00/playManifest/entryId/${entry.id}/format/mpegdash/protocol/http/manifest.mpd`;
  const mpd = await fetch(play);
  expect(mpd.headers.get("content-type")).toBe("application/dash+xml");
  expect(await mpd.text()).toContain("<MPD");
  const frames = execFileSync("ffprobe", [
    ...["-v", "error", "-select_streams", "v:0", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", mpd.url],
  ], { encoding: "utf8" }).split("\n")[0]!; // once more below the program it belongs to
  expect(frames, "every frame of every segment decodes").toBe("h264,180");
  execFileSync("ffmpeg", ["-v", "error", "-xerror", "-i", play, "-map", "0:a", "-f", "null", "-"]);
  say("playManifest", `DASH at ${new URL(mpd.url).pathname.replace(/[^/]+\/manifest/, "…/manifest")}; ffmpeg decodes ${frames.split(",")[1]} frames and the sound`);

  await page.setContent("<video muted></video>");
  await page.addScriptTag({ path: resolve(import.meta.dirname, "../web/node_modules/shaka-player/dist/shaka-player.compiled.js") });
  const shown = await page.evaluate(async (url) => {
    // biome-ignore lint/suspicious/noExplicitAny: a script tag's global
    const shaka = (globalThis as any).shaka;
    const video = document.querySelector("video")!;
    const player = new shaka.Player();
    await player.attach(video);
    await player.load(url);
    await video.play();
    await new Promise<void>((good, bad) => {
      video.onerror = () => bad(new Error(video.error?.message));
      video.ontimeupdate = () => video.currentTime > 2 && good();
    });
    return { at: video.currentTime, width: video.videoWidth, duration: video.duration };
  }, play);
  expect(shown.width).toBeGreaterThan(0);
  expect(shown.duration).toBeCloseTo(6, 0);
  say("playManifest in Chromium", `plays past ${shown.at.toFixed(1)} s, ${shown.width} pixels wide`);

  for (const [path, width, height] of [["/width/160", 160, 90], ["/width/100/height/100/type/3", 100, 100]] as const) {
    const picture = join(dir, "thumb.jpg");
    execFileSync("ffmpeg", ["-v", "error", "-y", "-i", ready.thumbnailUrl + path, "-c", "copy", picture]);
    const got = execFileSync("ffprobe", ["-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", picture], { encoding: "utf8" }).trim();
    expect(got).toBe(`mjpeg,${width},${height}`);
  }
  const thumbs = await services.thumbAsset.getByEntryId!(entry.id).execute<unknown[]>(pia);
  expect(thumbs).toHaveLength(1);
  say("thumbnails", "160 by 90 and cropped to 100 by 100");

  const wrong = client("djJ8bm9uc2Vuc2U=");
  const now = Math.floor(Date.now() / 1000);
  const over = client(localSession(account.partner_id, account.admin_secret, "pia", 0, now - 10, "list:*"));
  const codes: Record<string, string> = {};
  for (const [want, call, as] of [
    ["ENTRY_ID_NOT_FOUND", services.media.get!("0_missing1"), pia],
    ["INVALID_KS", services.media.listAction!(), wrong],
    ["INVALID_KS", services.media.get!(entry.id), over],
    ["SERVICE_FORBIDDEN", services.user.add!(new objects.User!({ id: "x" })), pia],
    ["DUPLICATE_USER_BY_ID", services.user.add!(new objects.User!({ id: "pia" })), admin],
    ["START_SESSION_ERROR", services.session.start!("wrong", "pia", USER, account.partner_id), client()],
    ["INVALID_APP_TOKEN_HASH", services.appToken.startSession!(appToken!.id, "00", "pia", USER), pia],
    ["UPLOAD_TOKEN_NOT_FOUND", services.uploadToken.get!("0_none"), pia],
    ["UPLOAD_TOKEN_INVALID_STATUS_FOR_UPLOAD", services.uploadToken.upload!(token.id, Buffer.from("more")), pia],
    ["PROPERTY_VALIDATION_CANNOT_BE_NULL", services.flavorAsset.listAction!(), pia],
  ] as const) {
    expect((codes[want] = await refused(call.execute(as)))).toBe(want);
  }
  say("exceptions", Object.keys(codes).join(", "));

  const batch = await client()
    .startMultiRequest()
    .add(services.session.start!(account.user_secret, "pia", USER, account.partner_id))
    .add(withKs(services.media.add!(new objects.MediaEntry!({ name: "From a batch", mediaType: enums.MediaType!.AUDIO })), "{1:result}"))
    .add(withKs(services.media.get!("{2:result:id}"), "{1:result}"))
    .add(withKs(services.media.get!("0_missing1"), "{1:result}"))
    .add(withKs(services.media.deleteAction!("{2:result:id}"), "{1:result}"))
    .execute<[string, Entry, Entry, { code: string }, null]>(client());
  expect(batch).toHaveLength(5);
  expect(batch[2]).toMatchObject({ id: batch[1].id, name: "From a batch", userId: "pia" });
  expect(batch[3].code).toBe("ENTRY_ID_NOT_FOUND");
  say("multirequest", "5 calls, results passed on; one exception leaves the others alone");

  const local = client(localSession(account.partner_id, account.admin_secret, "pia", 2, now + 600, "list:*,disableentitlement"));
  expect(await services.session.get!().execute<Info>(local)).toMatchObject({ userId: "pia", privileges: "list:*,disableentitlement" });
  const all = await services.baseEntry.listByReferenceId!("ref-1").execute<List<Entry>>(local);
  expect(all.objects.map((e) => e.id)).toEqual([entry.id]);
  const folders = await services.dropFolder.listAction!(new objects.DropFolderFilter!({ statusEqual: enums.DropFolderStatus!.ENABLED })).execute<List<{ id: number; path: string }>>(admin);
  expect(folders.objects.map((f) => f.id)).toEqual([account.drop_folder_id]);
  say("dropFolder.list", `folder ${account.drop_folder_id}, ${folders.objects[0]!.path}`);

  say("session made by the client (KS version 2)", "accepted; an expired one was not");
}

/** Gives one call of a batch its own session, which may be the result of another. */
function withKs<T extends object>(call: T, ks: string): T {
  return (call as unknown as { setKs(ks: string): T }).setKs(ks);
}
