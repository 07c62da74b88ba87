// Fails when the script that a page needs at its first load is over the budget: the entry and the
// page's own chunk with everything they import statically. Players, tus and hashing are loaded
// later, on demand, and are listed for information. So does the script that other sites load.
import { execSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";

const budget = 60_000;
const built = "dist/.vite/manifest.json";
const sources = readdirSync("src", { recursive: true }).map((f) => `src/${f}`);
const newest = Math.max(
  ...[...sources, "package-lock.json", "picker.html", "vite.config.ts", "vite.embed.config.ts"].map(
    (f) => statSync(f).mtimeMs,
  ),
);
if (!existsSync(built) || statSync(built).mtimeMs < newest) execSync("npm run --silent build", { stdio: "inherit" });
const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8"));
const zipped = (file) => gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length;

function collect(key, into = new Set()) {
  if (into.has(key)) return into;
  into.add(key);
  for (const i of manifest[key].imports ?? []) collect(i, into);
  return into;
}
const sum = (keys) => [...keys].reduce((n, k) => n + zipped(manifest[k].file), 0);

const entry = "index.html";
const pages = Object.keys(manifest).filter((k) => /^src\/pages\/.*\.tsx$/.test(k));
if (pages.length === 0) throw new Error("no pages in the manifest");
let over = false;
for (const page of pages) {
  const bytes = sum(collect(page, collect(entry)));
  over ||= bytes > budget;
  console.log(`${bytes > budget ? "OVER " : "ok   "}${(bytes / 1000).toFixed(1).padStart(6)} kB  ${page}`);
}
for (const [name, bytes, most] of [
  ["picker.html", sum(collect("picker.html")), budget],
  ["embed/v1.js", zipped("embed/v1.js"), 10_000],
]) {
  over ||= bytes > most;
  console.log(`${bytes > most ? "OVER " : "ok   "}${(bytes / 1000).toFixed(1).padStart(6)} kB  ${name}`);
}
for (const key of Object.keys(manifest)) {
  const m = manifest[key];
  if (m.isDynamicEntry && !pages.includes(key))
    console.log(`lazy ${(zipped(m.file) / 1000).toFixed(1).padStart(6)} kB  ${key}`);
}
if (over) {
  console.error("More compressed script is loaded first than the budget allows.");
  process.exit(1);
}
