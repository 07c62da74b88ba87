import { useEffect, useState } from "preact/hooks";
import type { LibraryItem, Media } from "../api";
import { clock } from "../format";
import { Icon, type IconName } from "../ui/icons";

const pauses = [1500, 5000, 15_000];

/** A picture of fixed shape that is fetched when it comes into view, and again when that failed. */
export function Thumb(p: { src?: string; type: string; is360?: boolean; durationMs?: number }) {
  const [failures, setFailures] = useState(0);
  const [shown, setShown] = useState(p.src);
  useEffect(() => {
    setFailures(0);
    setShown(p.src);
  }, [p.src]);
  const failed = () => {
    const wait = pauses[failures];
    setShown(undefined);
    if (wait === undefined) return;
    setFailures(failures + 1);
    setTimeout(() => setShown(p.src), wait);
  };
  const icon = (["video", "image", "audio"].includes(p.type) ? p.type : "other") as IconName;
  const length = clock(p.durationMs ?? 0);
  return (
    <span class="thumb">
      <Icon name={icon} size={40} />
      {shown && p.type !== "audio" && <img src={shown} alt="" loading="lazy" decoding="async" onError={failed} />}
      {p.is360 && (
        <span class="over sphere">
          <Icon name="sphere" size={14} /> 360°
        </span>
      )}
      {length && <span class="over dur">{length}</span>}
    </span>
  );
}

const statusWords: Record<string, [string, string]> = {
  uploading: ["Uploading", "accent"],
  processing: ["Processing", "accent"],
  failed: ["Failed", "bad"],
  pending: ["Waiting", "accent"],
  importing: ["Importing", "accent"],
  cancelled: ["Cancelled", ""],
};

export function Status({ value }: { value: string }) {
  if (value === "ready") return null;
  const [text, tone] = statusWords[value] ?? [value, ""];
  return <span class={`badge ${tone}`}>{text}</span>;
}

export function MediaCard({ m }: { m: Media }) {
  return (
    <>
      <Thumb
        src={m.status === "ready" ? m.thumbnail_url : undefined}
        type={m.type}
        is360={m.is_360}
        durationMs={m.duration_ms}
      />
      <span class="text">
        <span class="name">
          <bdi>{m.name}</bdi>
        </span>
        <span class="meta">
          <Status value={m.status} />
          <bdi>{m.owner_id}</bdi>
        </span>
      </span>
    </>
  );
}

function ExportBadge({ e }: { e: NonNullable<LibraryItem["export"]> }) {
  if (e.state === "ready") return <span class="badge ok">{e.lost ? "Deleted in Kaltura" : "In Kaltura"}</span>;
  if (e.state === "failed") return <span class="badge bad">Not sent to Kaltura</span>;
  if (e.state === "cancelled" || e.state === "expired") return null;
  return <span class="badge accent">On its way to Kaltura</span>;
}

export function ItemCard({ it }: { it: LibraryItem }) {
  return (
    <>
      <Thumb
        src={it.state === "ready" ? it.thumbnail_url : undefined}
        type={it.type}
        is360={it.is_360}
        durationMs={it.duration_ms}
      />
      <span class="text">
        <span class="name">
          <bdi>{it.name}</bdi>
        </span>
        <span class="meta">
          <Status value={it.state} />
          {it.source_lost && <span class={`badge ${it.kind === "link" ? "bad" : ""}`}>Deleted in Kaltura</span>}
          {it.source === "spaces" ? (
            it.export && <ExportBadge e={it.export} />
          ) : (
            <span class="badge">
              <Icon name={it.kind === "copy" ? "copy" : "link"} size={13} /> {it.kind === "copy" ? "Copy" : "Link"}
            </span>
          )}
          {it.shared && it.source === "kaltura" && <span class="badge accent">Shared with the hub</span>}
          {!it.mine && it.source === "kaltura" && <span>from a colleague</span>}
        </span>
      </span>
    </>
  );
}
