import { useEffect } from "preact/hooks";
import type { Problem } from "../api";
import { count } from "../format";
import { Act } from "../ui/parts";
import { useNow } from "../ui/trouble";
import { countdown } from "./words";

export interface Deleted {
  id: string;
  name: string;
  until?: string;
}

/** What was just deleted, and how long that can be taken back. It stays until then, or until it is closed. */
export function Undo(p: {
  files: Deleted[];
  seconds: number;
  undo: () => Promise<unknown>;
  failed: (p: Problem) => void;
  close: () => void;
}) {
  const now = useNow();
  const until = p.files[0]?.until;
  const over = until ? Date.parse(until) <= now : false;
  useEffect(() => {
    if (over) p.close();
  }, [over]);
  const what = p.files.length === 1 ? p.files[0]!.name : count(p.files.length, "file");
  return (
    <section class="undo" aria-label="Deleted">
      <p class="wrap">
        <bdi>{what}</bdi> deleted.
        {until && <span class="tabular"> It can be taken back for {countdown(until, now)}.</span>}
        {!until && p.seconds > 0 && ` It can be taken back for ${Math.round(p.seconds / 60)} minutes.`}
      </p>
      <div class="row">
        <Act small icon="retry" do={p.undo} failed={p.failed}>
          Undo
        </Act>
        <button type="button" class="btn small" onClick={p.close}>
          Close
        </button>
      </div>
    </section>
  );
}
