import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Problem } from "../api";
import type { components } from "../api.gen";
import { ago, when } from "../format";
import { Act, Dialog, Loading, ProblemBanner, useLoad } from "../ui/parts";

type Grant = components["schemas"]["AppGrant"];

const vias: Record<Grant["via"], string> = {
  consent: "you allowed it",
  device: "you allowed it for a device",
  exchange: "brought along by your hub’s platform",
};

/** Apps that may act for the person, and the way to end that. */
export function Grants() {
  const load = useLoad(() => call(api.GET("/v1/me/grants")), []);
  const [asked, setAsked] = useState<Grant>();
  const items = load.data?.items;
  return (
    <section class="stack" aria-labelledby="apps" id="apps-with-access">
      <h2 id="apps">Apps with access</h2>
      <p class="muted">These apps may act for you. When you take that back, it ends at once.</p>
      {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!items && !load.problem && <Loading />}
      {items?.length === 0 && <p>No app has access.</p>}
      {items?.map((g) => (
        <One key={g.id} g={g} take={() => setAsked(g)} again={load.again} />
      ))}
      {asked && (
        <Take
          g={asked}
          close={() => setAsked(undefined)}
          done={() => {
            setAsked(undefined);
            say(`${asked.client.name} has no access any more.`);
            load.again();
          }}
        />
      )}
    </section>
  );
}

function One({ g, take, again }: { g: Grant; take: () => void; again: () => void }) {
  const [problem, setProblem] = useState<Problem>();
  return (
    <article class="card stack" aria-labelledby={`grant-${g.id}`}>
      <div class="spread">
        <h3 id={`grant-${g.id}`} class="wrap">
          <bdi>{g.client.name}</bdi>
        </h3>
        {g.revoked_at && <span class="badge warn">Taken back</span>}
      </div>
      <dl class="facts">
        <dt>Hub</dt>
        <dd>
          <bdi>{g.hub.name}</bdi>
        </dd>
        <dt>May</dt>
        <dd>
          <ul class="bullets">
            {g.scopes.map((s) => (
              <li key={s.name}>{s.title}</li>
            ))}
          </ul>
        </dd>
        <dt>Since</dt>
        <dd>
          {when(g.created_at)} <span class="muted">({vias[g.via]})</span>
        </dd>
        <dt>Last used</dt>
        <dd>{g.last_used_at ? ago(g.last_used_at) : "never"}</dd>
      </dl>
      {problem && <ProblemBanner problem={problem} />}
      <div class="row">
        {g.revoked_at ? (
          <Act
            small
            aria-label={`Allow ${g.client.name} again`}
            do={async () => {
              await call(api.POST("/v1/me/grants/{grant}/allow", { params: { path: { grant: g.id } } }));
              say(`${g.client.name} has access again.`);
              again();
            }}
            failed={setProblem}
          >
            Allow again
          </Act>
        ) : (
          <button
            type="button"
            class="btn small danger"
            aria-label={`Take access from ${g.client.name}`}
            onClick={take}
          >
            Take access back
          </button>
        )}
      </div>
    </article>
  );
}

function Take({ g, close, done }: { g: Grant; close: () => void; done: () => void }) {
  const [problem, setProblem] = useState<Problem>();
  return (
    <Dialog
      slim
      title={
        <>
          Take access from <bdi>{g.client.name}</bdi>?
        </>
      }
      close={close}
      foot={
        <>
          <button type="button" class="btn" onClick={close}>
            Keep
          </button>
          <Act
            kind="danger"
            do={async () => {
              await call(api.DELETE("/v1/me/grants/{grant}", { params: { path: { grant: g.id } } }));
              done();
            }}
            failed={setProblem}
          >
            Take access back
          </Act>
        </>
      }
    >
      <p>It is signed out on all your devices at once. What it has stored elsewhere stays there.</p>
      {problem && <ProblemBanner problem={problem} />}
    </Dialog>
  );
}
