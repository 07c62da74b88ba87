import { useId, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Problem } from "../api";
import type { components } from "../api.gen";
import { when } from "../format";
import { OperatorPage } from "../operator/head";
import { loadMe } from "../session";
import { Act, Dialog, Field, Loading, ProblemBanner, useLoad } from "../ui/parts";

type Operator = components["schemas"]["Operator"];

/** Operator → Operators: who runs this installation. */
export default function Operators() {
  return (
    <OperatorPage title="Operators">
      <List />
    </OperatorPage>
  );
}

function List() {
  const load = useLoad(() => call(api.GET("/v1/operator/operators")), []);
  const [problem, setProblem] = useState<Problem>();
  const [leaving, setLeaving] = useState<Operator>();
  return (
    <div class="stack">
      <p class="muted">
        Operators make hubs, set their plans and name further operators. They see no media and no secrets of hubs.
      </p>
      {problem && <ProblemBanner problem={problem} />}
      {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!load.data && !load.problem && <Loading />}
      <ul class="stack" aria-label="Operators">
        {load.data?.items.map((op) => (
          <li key={op.id} class="card stack-s" data-operator={op.id}>
            <div class="spread">
              <h2>
                <bdi>{op.name || op.subject}</bdi>
              </h2>
              {op.you && <span class="badge accent">You</span>}
            </div>
            <dl class="facts">
              <dt>Person</dt>
              <dd class="wrap">
                <bdi>{op.subject}</bdi> <span class="muted small">at {op.issuer}</span>
              </dd>
              <dt>Since</dt>
              <dd>{when(op.created_at)}</dd>
            </dl>
            <div class="row">
              <button
                type="button"
                class="btn small danger"
                onClick={() => setLeaving(op)}
                aria-label={`Remove ${op.name || op.subject}`}
              >
                Remove…
              </button>
            </div>
          </li>
        ))}
      </ul>
      <Add added={load.again} />
      {leaving && (
        <Dialog
          slim
          title={leaving.you ? "Stop being an operator?" : `Remove ${leaving.name || leaving.subject}?`}
          close={() => setLeaving(undefined)}
          foot={
            <>
              <button type="button" class="btn" onClick={() => setLeaving(undefined)}>
                Cancel
              </button>
              <Act
                kind="danger"
                failed={(p) => {
                  setProblem(p);
                  setLeaving(undefined);
                }}
                do={async () => {
                  setProblem(undefined);
                  await call(api.DELETE("/v1/operator/operators/{id}", { params: { path: { id: leaving.id } } }));
                  say("They are no operator any more.");
                  setLeaving(undefined);
                  if (leaving.you) await loadMe();
                  else load.again();
                }}
              >
                Remove
              </Act>
            </>
          }
        >
          <p>{leaving.you ? "Another operator would have to name you again." : "They lose these pages at once."}</p>
        </Dialog>
      )}
    </div>
  );
}

function Add({ added }: { added: () => void }) {
  const empty = { issuer: "", subject: "", name: "" };
  const [d, set] = useState(empty);
  const [problem, setProblem] = useState<Problem>();
  const id = useId();
  const at = (pointer: string) => problem?.fields.find((f) => f.pointer === pointer)?.detail;
  return (
    <section class="card stack" aria-labelledby={id}>
      <h2 id={id}>Name an operator</h2>
      {problem && <ProblemBanner problem={problem} />}
      <div class="fields">
        <Field label="Name" value={d.name} set={(name) => set({ ...d, name })} problem={at("/name")} maxLength={200} />
        <Field
          label="Issuer"
          type="url"
          value={d.issuer}
          set={(issuer) => set({ ...d, issuer })}
          hint="Their identity provider."
          problem={at("/issuer")}
          maxLength={2000}
        />
        <Field
          label="Subject"
          value={d.subject}
          set={(subject) => set({ ...d, subject })}
          hint="Their id there, the claim “sub”."
          problem={at("/subject")}
          maxLength={255}
        />
      </div>
      <div class="row">
        <Act
          kind="primary"
          failed={setProblem}
          do={async () => {
            setProblem(undefined);
            await call(api.POST("/v1/operator/operators", { body: d }));
            set(empty);
            say("They are an operator now.");
            added();
          }}
        >
          Name as operator
        </Act>
      </div>
    </section>
  );
}
