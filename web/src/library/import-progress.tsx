import { useEffect, useState } from "preact/hooks";
import { announce } from "../announce";
import { api, call, type Job, type LibraryItem } from "../api";
import { percent, when } from "../format";
import { Act, Banner } from "../ui/parts";

const underWay = ["pending", "importing", "processing"];

/** Follows an import until it is over. */
export function ImportProgress(p: {
  hub: string;
  item: LibraryItem;
  again?: boolean;
  changed: () => void;
  show: (id: string) => void;
  restart?: () => void; // absent: the spaces platform has to send it again
}) {
  const [item, setItem] = useState(p.item);
  const [job, setJob] = useState<Job>();
  const [silent, setSilent] = useState(false);
  const active = underWay.includes(item.state);
  useEffect(() => {
    if (!active) return;
    let stale = false;
    const look = async () => {
      try {
        const it = await call(
          api.GET("/v1/hubs/{hub}/library/{id}", { params: { path: { hub: p.hub, id: p.item.id } } }),
        );
        const j = it.job_id
          ? await call(api.GET("/v1/hubs/{hub}/jobs/{id}", { params: { path: { hub: p.hub, id: it.job_id } } }))
          : undefined;
        if (stale) return;
        setSilent(false);
        setJob(j);
        setItem(it);
        if (!underWay.includes(it.state)) {
          announce(it.state === "ready" ? `${it.name} is in Spaces.` : `The import of ${it.name} did not end well.`);
          p.changed();
        }
      } catch {
        if (!stale) setSilent(true);
      }
    };
    void look();
    const t = setInterval(look, 1000);
    return () => {
      stale = true;
      clearInterval(t);
    };
  }, [active, p.item.id]);

  if (item.state === "ready") {
    return (
      <Banner
        tone="good"
        action={
          <button type="button" class="btn small" onClick={() => p.show(item.id)}>
            Show
          </button>
        }
      >
        <p>{p.again ? "It was already in Spaces." : "It is in Spaces."}</p>
      </Banner>
    );
  }
  if (active) {
    const words = item.state === "pending" ? "Waiting" : item.state === "importing" ? "Copying" : "Making it playable";
    return (
      <div class="stack-s">
        <p class="tabular">
          {words}
          {job && job.progress > 0 ? `, ${percent(job.progress)}` : "…"}
          {silent && " · The server cannot be reached; we keep looking."}
        </p>
        {job?.state === "waiting" && job.error && (
          <p class="small muted">
            {job.error.message} {job.next_try_at ? `Next try ${when(job.next_try_at)}.` : ""}
          </p>
        )}
        <progress class="bar" max={1} value={job?.progress} aria-label="Progress of the import" />
        {job && (
          <div class="row">
            <Act
              small
              kind="danger"
              disabled={job.cancel_requested}
              do={async () => {
                setJob(
                  await call(api.DELETE("/v1/hubs/{hub}/jobs/{id}", { params: { path: { hub: p.hub, id: job.id } } })),
                );
              }}
            >
              {job.cancel_requested ? "Stopping" : "Cancel"}
            </Act>
          </div>
        )}
      </div>
    );
  }
  return (
    <Banner
      tone={item.state === "failed" ? "error" : "info"}
      action={
        p.restart && (
          <button type="button" class="btn small" onClick={p.restart}>
            Import again
          </button>
        )
      }
    >
      <p>
        {item.state === "cancelled"
          ? "The import was cancelled."
          : `${item.error?.message ?? "The import failed."} ${item.error?.next_step ?? ""}`}
      </p>
    </Banner>
  );
}
