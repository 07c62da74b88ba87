import { useEffect, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type LibraryItem, type Problem } from "../api";
import { clock, when } from "../format";
import { hub, may } from "../session";
import { Act, Banner, Dialog, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { Viewer } from "../viewer/viewer";
import { Export } from "./export";
import { ImportProgress } from "./import-progress";
import { ChooseButton, choiceOfItem } from "./pick";

/** One item: plays it, sends it to Kaltura, shares it, removes it. */
export function ItemDetail(p: {
  hub: string;
  id: string;
  close: () => void;
  changed: () => void;
  removed: (id: string) => void;
}) {
  const path = { hub: p.hub, id: p.id };
  const load = useLoad(() => call(api.GET("/v1/hubs/{hub}/library/{id}", { params: { path } })), [p.id]);
  const it = load.data;
  return (
    <Dialog title={<bdi>{it?.name ?? "Preview"}</bdi>} close={p.close}>
      {load.problem && (
        <ProblemBanner problem={load.problem} retry={load.problem.status === 404 ? undefined : load.again} />
      )}
      {!it && !load.problem && <Loading />}
      {it && (
        <div class="detail">
          <div class="stack">
            {it.source_lost && (
              <Banner tone={it.kind === "link" ? "warn" : "info"}>
                <p>
                  <strong>{it.source_lost.message}</strong> {it.source_lost.next_step}
                </p>
                <p class="small muted">Noticed {when(it.source_lost.since)}.</p>
              </Banner>
            )}
            {it.state === "ready" ? (
              <Viewer
                name={it.name}
                ask={() => call(api.GET("/v1/hubs/{hub}/library/{id}/playback", { params: { path } }))}
              />
            ) : (
              <ImportProgress
                hub={p.hub}
                item={it}
                changed={() => {
                  load.again();
                  p.changed();
                }}
                show={() => {}}
                restart={it.source === "kaltura" ? () => void again(p.hub, it).then(load.again) : undefined}
              />
            )}
          </div>
          <div class="stack">
            <ChooseButton of={choiceOfItem(it)} close={p.close} />
            <Facts it={it} />
            <Export
              hub={p.hub}
              it={it}
              changed={() => {
                load.again();
                p.changed();
              }}
            />
            <Manage
              it={it}
              {...p}
              changed={() => {
                load.again();
                p.changed();
              }}
            />
          </div>
        </div>
      )}
    </Dialog>
  );
}

async function again(hubId: string, it: LibraryItem): Promise<void> {
  await call(
    api.POST("/v1/hubs/{hub}/library", {
      params: { path: { hub: hubId } },
      body: { source: "kaltura", entry_id: it.entry_id, kind: it.kind, rendition: it.rendition },
    }),
  );
}

function Facts({ it }: { it: LibraryItem }) {
  return (
    <dl class="facts">
      <dt>Kept as</dt>
      <dd>{it.source === "spaces" ? "Media of Spaces" : it.kind === "copy" ? "Copy in Spaces" : "Link to Kaltura"}</dd>
      {it.duration_ms > 0 && (
        <>
          <dt>Length</dt>
          <dd class="tabular">{clock(it.duration_ms)}</dd>
        </>
      )}
      <dt>View</dt>
      <dd>{it.is_360 ? "360°" : "Flat"}</dd>
      {it.source === "spaces" ? (
        <>
          <dt>Added</dt>
          <dd>{when(it.created_at)}</dd>
          {it.tags && (
            <>
              <dt>Tags</dt>
              <dd>
                <bdi>{it.tags.join(", ")}</bdi>
              </dd>
            </>
          )}
        </>
      ) : (
        <>
          <dt>Imported</dt>
          <dd>
            {when(it.created_at)}
            {it.mine ? " by you" : " by a colleague"}
          </dd>
          <dt>Kaltura id</dt>
          <dd>
            <code>{it.entry_id}</code>
          </dd>
        </>
      )}
      <dt>Seen by</dt>
      <dd>{it.shared ? "Everybody in the hub" : "Only you"}</dd>
    </dl>
  );
}

function Manage(p: {
  hub: string;
  it: LibraryItem;
  close: () => void;
  changed: () => void;
  removed: (id: string) => void;
}) {
  const { it } = p;
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => setProblem(undefined), [it.etag]);
  if ((!it.mine && hub.value?.role !== "admin") || !may("library:write")) return null;
  const path = { hub: p.hub, id: it.id };
  const share = async () => {
    await call(
      api.PATCH("/v1/hubs/{hub}/library/{id}", {
        params: { path, header: { "If-Match": it.etag } },
        headers: { "Content-Type": "application/merge-patch+json" },
        body: { shared: !it.shared },
      }),
    );
    say(it.shared ? "It is no longer shared." : "Everybody in the hub sees it now.");
    p.changed();
  };
  const remove = async () => {
    await call(api.DELETE("/v1/hubs/{hub}/library/{id}", { params: { path } }));
    say(`${it.name} was removed from Spaces.`);
    p.removed(it.id);
  };
  return (
    <section class="stack-s" aria-label="Manage">
      {problem && <ProblemBanner problem={problem} />}
      {asking ? (
        <Banner tone="warn">
          <p>
            {it.source === "spaces"
              ? "Its files here are deleted. What was sent to Kaltura stays there."
              : it.kind === "copy"
                ? "The copy and its files are deleted. The original in Kaltura stays."
                : "The link is removed. The original in Kaltura stays."}
          </p>
          <div class="row">
            <Act small kind="danger" icon="trash" do={remove} failed={setProblem}>
              Remove from Spaces
            </Act>
            <button type="button" class="btn small" onClick={() => setAsking(false)}>
              Keep it
            </button>
          </div>
        </Banner>
      ) : (
        <div class="row">
          <Act small icon="share" do={share} failed={setProblem}>
            {it.shared ? "Stop sharing" : "Share with the hub"}
          </Act>
          <button type="button" class="btn small danger" onClick={() => setAsking(true)}>
            Remove…
          </button>
        </div>
      )}
    </section>
  );
}
