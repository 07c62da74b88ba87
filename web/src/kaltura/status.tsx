import { useState } from "preact/hooks";
import { announce, say } from "../announce";
import {
  api,
  type ConnectionPatch,
  call,
  type Diagnosis,
  type Integration,
  type Problem,
  type Visibility,
} from "../api";
import { ago, count } from "../format";
import { Act, Banner, Dialog, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { HealthCard, healths } from "./health";
import { DiagnosisView, VisibilityChoice } from "./parts";
import { ExpiryBanner } from "./upkeep";

/** The connection as it is, and what can be changed about it. */
export function StatusView(p: {
  hub: string;
  i: Integration;
  changed: (i: Integration) => void;
  rotate: () => void;
  gone: () => void;
}) {
  const { i } = p;
  const [problem, setProblem] = useState<Problem>();
  const [diagnosis, setDiagnosis] = useState<Diagnosis>(i.diagnosis);
  const [leaving, setLeaving] = useState(false);
  const path = { hub: p.hub };
  const patch = async (body: ConnectionPatch, said: string) => {
    setProblem(undefined);
    const now = await call(
      api.PATCH("/v1/hubs/{hub}/integrations/kaltura", {
        params: { path, header: { "If-Match": i.etag } },
        headers: { "Content-Type": "application/merge-patch+json" },
        body,
      }),
    );
    setDiagnosis(now.diagnosis);
    p.changed(now);
    say(said);
  };
  const check = async () => {
    setProblem(undefined);
    const now = await call(api.POST("/v1/hubs/{hub}/integrations/kaltura/probe", { params: { path } }));
    setDiagnosis(now.diagnosis);
    p.changed(now);
    announce("The connection was checked.");
  };
  const [word, tone] = healths[i.health] ?? [i.health, ""];
  return (
    <div class="stack">
      {problem && <ProblemBanner problem={problem} />}
      {i.health !== "ok" && (
        <Banner
          tone={i.health === "degraded" ? "warn" : "error"}
          action={
            i.health === "credentials_invalid" && (
              <button type="button" class="btn small" onClick={p.rotate}>
                Replace the App Token
              </button>
            )
          }
        >
          <p>
            <strong>{word}.</strong> {i.health_text}
          </p>
        </Banner>
      )}
      <ExpiryBanner i={i} rotate={p.rotate} />
      <section class="card stack" aria-labelledby="connection-title">
        <div class="spread">
          <h2 id="connection-title">Connection</h2>
          <span class={`badge ${tone}`}>{word}</span>
        </div>
        <dl class="facts">
          <dt>Service URL</dt>
          <dd>{i.service_url}</dd>
          <dt>Partner id</dt>
          <dd class="tabular">{i.partner_id}</dd>
          <dt>App Token id</dt>
          <dd>
            <code>{i.app_token_id}</code>
          </dd>
          <dt>App Token</dt>
          <dd>
            <code>••••••••{i.token_last4}</code>
          </dd>
          <dt>Hash type</dt>
          <dd>{i.hash_type}</dd>
          <dt>Checked last</dt>
          <dd>{ago(diagnosis.at)}</dd>
        </dl>
        <div class="row">
          <Act do={check} failed={setProblem}>
            Check now
          </Act>
          <button type="button" class="btn" onClick={p.rotate}>
            Replace the App Token
          </button>
          <button type="button" class="btn danger" onClick={() => setLeaving(true)}>
            Disconnect…
          </button>
        </div>
        <details open={diagnosis.checks.some((c) => c.needed && c.state === "failed")}>
          <summary>What the App Token can do</summary>
          <DiagnosisView d={diagnosis} />
        </details>
      </section>
      <HealthCard
        hub={p.hub}
        state={i.health}
        tried={(now) => {
          setDiagnosis(now.diagnosis);
          p.changed(now);
        }}
        failed={setProblem}
      />
      <VisibilityCard
        i={i}
        save={(visibility) => patch({ visibility }, "The visibility was changed.")}
        failed={setProblem}
      />
      <MappingMode
        i={i}
        save={(mapping_mode) => patch({ mapping_mode }, "The mapping was changed.")}
        failed={setProblem}
      />
      {leaving && <Disconnect hub={p.hub} i={i} close={() => setLeaving(false)} gone={p.gone} />}
    </div>
  );
}

function VisibilityCard({
  i,
  save,
  failed,
}: {
  i: Integration;
  save: (v: Visibility) => Promise<void>;
  failed: (p: Problem) => void;
}) {
  const [want, setWant] = useState<Visibility>(i.visibility);
  const [asking, setAsking] = useState(false);
  const n = i.diagnosis.entry_count;
  const everything = n >= 0 ? `all ${count(n, "media item")}` : "all media";
  const done = (e: Problem) => {
    setAsking(false);
    failed(e);
  };
  return (
    <section class="card stack" aria-label="Visibility">
      <VisibilityChoice value={want} set={setWant} />
      {want !== i.visibility && (
        <div class="row">
          <button type="button" class="btn primary" onClick={() => setAsking(true)}>
            Change visibility…
          </button>
          <button type="button" class="btn" onClick={() => setWant(i.visibility)}>
            Keep it as it is
          </button>
        </div>
      )}
      {asking && (
        <Dialog
          slim
          title={want === "shared" ? "Show the whole account to everybody?" : "Show people only their own media?"}
          close={() => setAsking(false)}
          foot={
            <>
              <button type="button" class="btn" onClick={() => setAsking(false)}>
                Cancel
              </button>
              <Act
                kind="primary"
                do={async () => {
                  await save(want);
                  setAsking(false);
                }}
                failed={done}
              >
                {want === "shared" ? "Show everything" : "Show only their own"}
              </Act>
            </>
          }
        >
          <p>
            {want === "shared"
              ? `Every participant of this hub will see ${everything} of the Kaltura account, also what was private until now. The change is noted in the audit log.`
              : "Each participant will see only what they own in Kaltura. What they imported before stays listed, but links to other people's media no longer play for them."}
          </p>
        </Dialog>
      )}
    </section>
  );
}

const modes: Record<Integration["mapping_mode"], string> = {
  on_first_use: "When they first use the library",
  needs_approval: "After an admin approved it",
  off: "Never: only people who are linked already",
};

function MappingMode(p: {
  i: Integration;
  save: (m: Integration["mapping_mode"]) => Promise<void>;
  failed: (p: Problem) => void;
}) {
  const { i } = p;
  const [want, setWant] = useState(i.mapping_mode);
  return (
    <section class="card stack" aria-labelledby="mode-title">
      <h2 id="mode-title">Who becomes who in Kaltura</h2>
      <p class="muted">
        {i.match_by === "email"
          ? "People are found in Kaltura by their verified e-mail. Who is not there yet gets a user without login."
          : "This App Token can only act as a user whose id is the person's e-mail, so that is whom they are in Kaltura."}
      </p>
      <div class="field">
        <label for="mode">Link people to Kaltura users</label>
        <select id="mode" value={want} onChange={(e) => setWant(e.currentTarget.value as typeof want)}>
          {Object.entries(modes).map(([k, v]) => (
            <option key={k} value={k}>
              {v}
            </option>
          ))}
        </select>
      </div>
      {want !== i.mapping_mode && (
        <div class="row">
          <Act kind="primary" do={() => p.save(want)} failed={p.failed}>
            Save
          </Act>
        </div>
      )}
    </section>
  );
}

function Disconnect({ hub, i, close, gone }: { hub: string; i: Integration; close: () => void; gone: () => void }) {
  const impact = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/integrations/kaltura/impact", { params: { path: { hub } } })),
    [],
  );
  const [problem, setProblem] = useState<Problem>();
  const n = impact.data;
  return (
    <Dialog
      slim
      title="Disconnect Kaltura?"
      close={close}
      foot={
        <>
          <button type="button" class="btn" onClick={close}>
            Cancel
          </button>
          <Act
            kind="danger"
            disabled={!n}
            failed={setProblem}
            do={async () => {
              await call(
                api.DELETE("/v1/hubs/{hub}/integrations/kaltura", {
                  params: { path: { hub }, header: { "If-Match": i.etag } },
                }),
              );
              say("Kaltura is disconnected.");
              gone();
            }}
          >
            Disconnect
          </Act>
        </>
      }
    >
      <div class="stack-s">
        {impact.problem && <ProblemBanner problem={impact.problem} retry={impact.again} />}
        {problem && <ProblemBanner problem={problem} />}
        {!n && !impact.problem && <Loading />}
        {n && (
          <>
            <p>This is what stops working:</p>
            <ul class="stack-s">
              <li>{count(n.links, "link")} in the library will no longer play. Copies stay.</li>
              <li>{count(n.uploads, "upload")} under way will stop.</li>
              <li>{count(n.mappings, "person", "people")} will no longer be linked to a Kaltura user.</li>
            </ul>
            <p class="muted">
              The App Token is forgotten here. To revoke it, delete it in Kaltura too. Media in Kaltura stay.
            </p>
          </>
        )}
      </div>
    </Dialog>
  );
}
