// What screen readers hear of uploads: the start, each quarter at most, and the end. Several files
// that are sent together are one matter.
import { announce } from "../announce";
import { count } from "../format";
import { type Item, quarter, type Total } from "./machine";

export class Teller {
  private readonly said = new Map<string, number>();

  constructor(private readonly speak = announce) {}

  /** Files begin to be sent. */
  begun(names: string[]): void {
    this.said.delete("");
    this.speak(names.length === 1 ? `Upload of ${names[0]} begins.` : `${names.length} uploads begin.`);
  }

  /** Tells what changed about one file. */
  tell(before: Item, after: Item, all: Total): void {
    const alone = all.files < 2;
    if (after.phase === "sending") {
      const about = alone ? after.key : "";
      const q = alone ? quarter(after.sent, after.size) : quarter(all.sent, all.size);
      if (q > (this.said.get(about) ?? 0)) {
        this.said.set(about, q);
        if (q < 4) this.speak(`${alone ? after.name : count(all.files, "file")}: ${q * 25} percent sent.`);
      }
    }
    if (before.phase === after.phase) return;
    if (after.phase === "failed")
      this.speak(`${after.name} failed. ${after.failure?.message ?? ""} ${after.failure?.nextStep ?? ""}`);
    if (after.phase === "retrying")
      this.speak(`${after.name}: ${after.failure?.message ?? "connection lost."} Trying again by itself.`);
    if (alone) {
      if (after.phase === "server") this.speak(`${after.name} is uploaded and being processed.`);
      if (after.phase === "ready") this.speak(`${after.name} is ready.`);
    } else if (after.phase === "server" && all.left === 0) {
      this.speak(
        all.failed === 0
          ? `All ${all.files} files are uploaded and being processed.`
          : `${count(all.files - all.failed, "file")} uploaded, ${all.failed} failed.`,
      );
    }
  }
}
