import { useEffect, useState } from "preact/hooks";
import { announce, say } from "../announce";
import { api, call, type LibraryItem, type Problem, type Upload } from "../api";
import { percent } from "../format";
import { may } from "../session";
import { Act, Banner, ProblemBanner } from "../ui/parts";
import { setParams } from "./query";

const underWay = ["receiving", "ingesting", "processing"];

/** Sends a medium of the spaces platform to Kaltura, and tells how far that is. */
export function Export(p: { hub: string; it: LibraryItem; changed: () => void }) {
  const [item, setItem] = useState(p.it);
  const [upload, setUpload] = useState<Upload>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => setItem(p.it), [p.it]);
  const e = item.export;
  const active = !!e && underWay.includes(e.state);
  const path = { hub: p.hub, id: item.id };
  useEffect(() => {
    if (!active || !e) return;
    let stale = false;
    const look = async () => {
      try {
        const it = await call(api.GET("/v1/hubs/{hub}/library/{id}", { params: { path } }));
        if (stale) return;
        setItem(it);
        if (it.export?.state === "ready") announce(`${it.name} is in Kaltura.`);
        if (!it.export || !underWay.includes(it.export.state)) return p.changed();
        // How far it is, and the right to stop it, are for whoever sent it.
        setUpload(
          await call(api.GET("/v1/hubs/{hub}/uploads/{id}", { params: { path: { hub: p.hub, id: e.upload_id } } })),
        );
      } catch {
        // Somebody else's upload, or no connection: we keep looking.
      }
    };
    void look();
    const t = setInterval(look, 1500);
    return () => {
      stale = true;
      clearInterval(t);
    };
  }, [active, e?.upload_id]);

  if (item.source !== "spaces" || item.state !== "ready") return null;
  const send = async () => {
    setProblem(undefined);
    const sent = await call(api.POST("/v1/hubs/{hub}/library/{id}/export", { params: { path } }));
    setUpload(sent.upload);
    setItem(sent.item);
    say(`${item.name} is on its way to Kaltura.`);
    p.changed();
  };
  const stop = async () => {
    if (!e) return;
    await call(api.DELETE("/v1/hubs/{hub}/uploads/{id}", { params: { path: { hub: p.hub, id: e.upload_id } } }));
    setItem({ ...item, export: { ...e, state: "cancelled" } });
    p.changed();
  };
  const sent = e?.state === "ready" && !e.lost;
  return (
    <section class="stack-s" aria-label="Kaltura">
      {problem && <ProblemBanner problem={problem} />}
      {sent && (
        <Banner
          tone="good"
          action={
            <button
              type="button"
              class="btn small"
              onClick={() => setParams({ item: null, tab: "kaltura", media: e.entry_id ?? null })}
            >
              Show
            </button>
          }
        >
          <p>
            In Kaltura as <code>{e.entry_id}</code>
          </p>
        </Banner>
      )}
      {active && (
        <div class="stack-s">
          <p class="tabular">
            {e.state === "processing" ? "In Kaltura, being made playable" : "On its way to Kaltura"}
            {upload && upload.progress > 0 ? `, ${percent(upload.progress)}` : "…"}
          </p>
          {e.error && (
            <p class="small muted">
              {e.error.message} {e.error.next_step}
            </p>
          )}
          <progress class="bar" max={1} value={upload?.progress} aria-label="Progress to Kaltura" />
          {upload?.mine && !e.entry_id && (
            <div class="row">
              <Act small kind="danger" do={stop} failed={setProblem}>
                Cancel
              </Act>
            </div>
          )}
        </div>
      )}
      {e?.lost && (
        <Banner tone="info">
          <p>It was in Kaltura and was deleted there.</p>
        </Banner>
      )}
      {e?.state === "failed" && (
        <Banner tone="error">
          <p>
            {e.error?.message ?? "It could not be sent to Kaltura."} {e.error?.next_step}
          </p>
        </Banner>
      )}
      {!sent && !active && may("uploads:write") && (
        <div class="row">
          <Act small icon="upload" do={send} failed={setProblem}>
            {e ? "Send to Kaltura again" : "Send to Kaltura"}
          </Act>
        </div>
      )}
    </section>
  );
}
