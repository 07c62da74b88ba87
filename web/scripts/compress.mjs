// Writes a .gz beside every text file of the build, so that the server never compresses on the fly.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";

const texts = new Set([".html", ".js", ".css", ".svg", ".json"]);
for (const name of readdirSync("dist", { recursive: true })) {
  const file = join("dist", name);
  if (!statSync(file).isFile() || !texts.has(extname(file)) || file.includes(".vite")) continue;
  const zipped = gzipSync(readFileSync(file), { level: 9 });
  if (zipped.length < statSync(file).size) writeFileSync(`${file}.gz`, zipped);
}
