// Media for the tests, made by ffmpeg once per run.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Files {
  dir: string;
  sphere: string;
  large: string;
  small: string;
  remove(): void;
}

const ffmpeg = (...args: string[]) => execFileSync("ffmpeg", ["-v", "error", "-y", ...args], { stdio: ["ignore", "ignore", "inherit"] });

/** Google's spherical video box, version 1: XML in a uuid box at the end of the video's track. */
function sphericalBox(): Buffer {
  const xml =
    '<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">' +
    "<GSpherical:Spherical>true</GSpherical:Spherical><GSpherical:Stitched>true</GSpherical:Stitched>" +
    "<GSpherical:StitchingSoftware>test</GSpherical:StitchingSoftware><GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType></rdf:SphericalVideo>";
  const id = Buffer.from("ffcc8263f8554a938814587a02521fdd", "hex");
  const box = Buffer.alloc(8);
  box.writeUInt32BE(8 + id.length + xml.length, 0);
  box.write("uuid", 4, "latin1");
  return Buffer.concat([box, id, Buffer.from(xml)]);
}

interface Box {
  at: number;
  size: number;
  type: string;
}

function boxes(b: Buffer, from: number, to: number): Box[] {
  const out: Box[] = [];
  for (let at = from; at + 8 <= to; ) {
    const size = b.readUInt32BE(at) || to - at;
    out.push({ at, size, type: b.toString("latin1", at + 4, at + 8) });
    at += size;
  }
  return out;
}

/** Marks an MP4 whose moov box is the last one, as ffmpeg writes it, so that no offset changes. */
function makeSpherical(file: string): void {
  const b = readFileSync(file);
  const moov = boxes(b, 0, b.length).at(-1)!;
  const trak = boxes(b, moov.at + 8, moov.at + moov.size).find((x) => x.type === "trak" && b.subarray(x.at, x.at + x.size).includes("vide"));
  if (moov.type !== "moov" || !trak) throw new Error("not the MP4 that was expected");
  const add = sphericalBox();
  b.writeUInt32BE(moov.size + add.length, moov.at);
  b.writeUInt32BE(trak.size + add.length, trak.at);
  const end = trak.at + trak.size;
  writeFileSync(file, Buffer.concat([b.subarray(0, end), add, b.subarray(end)]));
}

/** A playable file with so many bytes more, which say nothing and cost nobody time. */
export function padded(from: string, to: string, bytes: number): string {
  const box = Buffer.alloc(8);
  box.writeUInt32BE(8 + bytes);
  box.write("free", 4, "latin1");
  writeFileSync(to, Buffer.concat([readFileSync(from), box, randomBytes(bytes)]));
  return to;
}

/** Noise does not compress: large without being long, and soon converted, as it has few pixels. */
function makeLarge(file: string): string {
  ffmpeg(
    ...["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=8,noise=alls=60:allf=t", "-f", "lavfi", "-i", "sine=frequency=220:duration=8"],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "64M", "-minrate", "64M", "-maxrate", "64M", "-bufsize", "64M", "-pix_fmt", "yuv420p", "-g", "30"],
    ...["-c:a", "aac", "-shortest", file],
  );
  return file;
}

export function makeFiles(): Files {
  const dir = mkdtempSync(join(tmpdir(), "isthmus-media-"));
  const sphere = join(dir, "Küstenweg 360° הליכה.mp4");
  const small = join(dir, "Short note.mp4");
  ffmpeg(
    ...["-f", "lavfi", "-i", "testsrc2=size=1280x640:rate=30:duration=6,drawgrid=width=80:height=80:thickness=2:color=white@0.7", "-f", "lavfi", "-i", "sine=frequency=330:duration=6"],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30", "-c:a", "aac", "-shortest", sphere],
  );
  makeSpherical(sphere);
  ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", small);
  let large = "";
  return {
    dir,
    sphere,
    small,
    /** Made for who wants it. */
    get large() {
      return (large ||= makeLarge(join(dir, "Großer Vortrag & mehr.mp4")));
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
