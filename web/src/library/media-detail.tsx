import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, idempotencyKey, type LibraryItem, type Media, type Problem } from "../api";
import { bytes, clock, when } from "../format";
import { may } from "../session";
import { Icon } from "../ui/icons";
import { Act, Banner, Dialog, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { Viewer } from "../viewer/viewer";
import { ImportProgress } from "./import-progress";
import { ChooseButton, choiceOfMedia } from "./pick";

const kinds: Record<string, string> = { video: "Video", image: "Picture", audio: "Sound", other: "File" };

/** One entry: plays it, tells about it, imports it. */
export function MediaDetail(p: {
  hub: string;
  id: string;
  close: () => void;
  changed: () => void;
  showItem: (id: string) => void;
}) {
  const path = { hub: p.hub, id: p.id };
  const media = useLoad(() => call(api.GET("/v1/hubs/{hub}/media/{id}", { params: { path } })), [p.id]);
  const m = media.data;
  return (
    <Dialog title={<bdi>{m?.name ?? "Preview"}</bdi>} close={p.close}>
      {media.problem && (
        <ProblemBanner problem={media.problem} retry={media.problem.status === 404 ? undefined : media.again} />
      )}
      {!m && !media.problem && <Loading />}
      {m && (
        <div class="detail">
          <div class="stack">
            {m.status === "ready" ? (
              <Viewer
                key={`${m.id}-${m.is_360}`}
                name={m.name}
                ask={() => call(api.GET("/v1/hubs/{hub}/media/{id}/playback", { params: { path } }))}
              />
            ) : (
              <NotReady m={m} again={media.again} />
            )}
            <Mark360
              m={m}
              mark={async () => {
                media.set(await call(api.POST("/v1/hubs/{hub}/media/{id}/mark-360", { params: { path } })));
                say(`${m.name} is now marked as 360°.`);
                p.changed();
              }}
            />
          </div>
          <div class="stack">
            <ChooseButton of={choiceOfMedia(m)} close={p.close} />
            {may("media:import") && <Import hub={p.hub} m={m} changed={p.changed} showItem={p.showItem} />}
            <Facts m={m} />
          </div>
        </div>
      )}
    </Dialog>
  );
}

function NotReady({ m, again }: { m: Media; again: () => void }) {
  return (
    <div class="viewer">
      <div class="note">
        {m.status === "failed" ? <Icon name="error" size={32} /> : <span class="spin" />}
        <strong>
          {m.status === "failed" ? "Kaltura could not process this." : "Kaltura is still working on this."}
        </strong>
        <p>
          {m.status === "failed"
            ? "Upload the file again, or open it in Kaltura to see why."
            : "It plays as soon as it is ready."}
        </p>
        <button type="button" class="btn" onClick={again}>
          <Icon name="retry" /> Look again
        </button>
      </div>
    </div>
  );
}

function Mark360({ m, mark }: { m: Media; mark: () => Promise<void> }) {
  if (m.is_360 || (m.type !== "video" && m.type !== "image") || !may("uploads:write")) return null;
  const suggested = m.height > 0 && m.width === 2 * m.height;
  return (
    <Banner
      tone="info"
      action={
        <Act small icon="sphere" do={mark}>
          Mark as 360°
        </Act>
      }
    >
      <p>
        {suggested ? (
          <>
            <strong>This could be spherical.</strong> Its picture is twice as wide as high ({m.width} × {m.height}), but
            nothing in the file says so.
          </>
        ) : (
          "It is shown flat. If it was recorded all around, mark it."
        )}
      </p>
    </Banner>
  );
}

function Facts({ m }: { m: Media }) {
  return (
    <section class="stack-s" aria-label="About">
      <dl class="facts">
        <dt>Type</dt>
        <dd>
          {kinds[m.type] ?? m.type} {m.is_360 && <span class="badge warn">360°</span>}
        </dd>
        {m.duration_ms > 0 && (
          <>
            <dt>Length</dt>
            <dd class="tabular">{clock(m.duration_ms)}</dd>
          </>
        )}
        {m.width > 0 && (
          <>
            <dt>Size</dt>
            <dd class="tabular">
              {m.width} × {m.height}
            </dd>
          </>
        )}
        <dt>Owner</dt>
        <dd>
          <bdi>{m.owner_id}</bdi>
        </dd>
        <dt>Created</dt>
        <dd>{when(m.created_at)}</dd>
        {m.tags.length > 0 && (
          <>
            <dt>Tags</dt>
            <dd class="row">
              {m.tags.map((t) => (
                <span class="badge" key={t}>
                  <bdi>{t}</bdi>
                </span>
              ))}
            </dd>
          </>
        )}
        {m.description && (
          <>
            <dt>Description</dt>
            <dd>
              <bdi>{m.description}</bdi>
            </dd>
          </>
        )}
        <dt>Id</dt>
        <dd>
          <code>{m.id}</code>
        </dd>
      </dl>
      <details>
        <summary>Why do I see this?</summary>
        <p class="muted">{m.decision.text}</p>
      </details>
    </section>
  );
}

function Import({
  hub,
  m,
  changed,
  showItem,
}: {
  hub: string;
  m: Media;
  changed: () => void;
  showItem: (id: string) => void;
}) {
  const [kind, setKind] = useState<"link" | "copy">("link");
  const [rendition, setRendition] = useState("original");
  const [item, setItem] = useState<LibraryItem>();
  const [again, setAgain] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const choices = (m.renditions ?? []).filter((r) => r.ready && !r.original);
  const original = m.renditions?.find((r) => r.original);
  const start = async () => {
    setProblem(undefined);
    const answer = await call(
      api.POST("/v1/hubs/{hub}/library", {
        params: { path: { hub }, header: { "Idempotency-Key": idempotencyKey() } },
        body: { source: "kaltura", entry_id: m.id, kind, rendition: kind === "copy" ? rendition : undefined },
      }),
    );
    setAgain(answer.item.state === "ready" && kind === "copy" && answer.job === undefined);
    setItem(answer.item);
    changed();
    if (answer.item.state === "ready") say(`${m.name} is in Spaces.`);
  };
  if (m.status !== "ready") return null;
  return (
    <section class="stack-s" aria-labelledby="import-title">
      <h3 id="import-title">Import into Spaces</h3>
      {item ? (
        <ImportProgress
          hub={hub}
          item={item}
          again={again}
          changed={changed}
          show={showItem}
          restart={() => setItem(undefined)}
        />
      ) : (
        <>
          <fieldset class="choices">
            <legend class="visually-hidden">How</legend>
            <label class="choice">
              <input type="radio" name="kind" checked={kind === "link"} onChange={() => setKind("link")} />
              <b>Link</b>
              <span>Streams from Kaltura. There at once.</span>
            </label>
            <label class="choice">
              <input type="radio" name="kind" checked={kind === "copy"} onChange={() => setKind("copy")} />
              <b>Copy</b>
              <span>Kept in Spaces, whatever happens in Kaltura.</span>
            </label>
          </fieldset>
          {kind === "copy" && choices.length > 0 && (
            <div class="field">
              <label for="rendition">Quality</label>
              <select id="rendition" value={rendition} onChange={(e) => setRendition(e.currentTarget.value)}>
                <option value="original">
                  Original{original && original.size > 0 ? `, ${bytes(original.size)}` : ""}
                </option>
                {choices.map((r) => (
                  <option key={r.id} value={r.id}>
                    {r.label || `${r.width} × ${r.height}`}
                    {r.size > 0 ? `, ${bytes(r.size)}` : ""}
                  </option>
                ))}
              </select>
            </div>
          )}
          {problem && <ProblemBanner problem={problem} />}
          <div class="row">
            <Act kind="primary" icon="import" do={start} failed={setProblem}>
              Import
            </Act>
          </div>
        </>
      )}
    </section>
  );
}
