import { useId, useState } from "preact/hooks";
import { say } from "../announce";
import { api, asProblem, call, type Problem } from "../api";
import type { components } from "../api.gen";
import { when } from "../format";
import { OperatorPage } from "../operator/head";
import { Act, Field, Loading, ProblemBanner, useLoad } from "../ui/parts";

type Hub = components["schemas"]["OperatorHub"];
type Plan = components["schemas"]["OperatorPlan"];

const plans: [Plan, string][] = [
  ["free", "Free"],
  ["enterprise", "Enterprise"],
  ["university", "University"],
];
const planWord = (p?: string) => plans.find(([v]) => v === p)?.[1] ?? "nothing yet";
const GB = 1e9;

/** Bytes of a number of gigabytes as typed; undefined when it is none. */
function quotaOf(text: string): number | undefined {
  const n = Number(text.trim().replace(",", "."));
  return text.trim() !== "" && Number.isFinite(n) && n >= 0 && n <= 9_000_000 ? Math.round(n * GB) : undefined;
}

/** Operator → Hubs: who is on which plan. */
export default function OperatorHubs() {
  return (
    <OperatorPage title="Hubs">
      <Hubs />
    </OperatorPage>
  );
}

function Hubs() {
  const [q, setQ] = useState("");
  const [asked, setAsked] = useState("");
  const [more, setMore] = useState<Hub[]>([]);
  const [next, setNext] = useState<string>();
  const [adding, setAdding] = useState(false);
  const ask = (cursor?: string) =>
    call(api.GET("/v1/operator/hubs", { params: { query: { q: asked || undefined, cursor } } }));
  const load = useLoad(async () => {
    const page = await ask();
    setMore([]);
    setNext(page.next);
    return page.items;
  }, [asked]);
  const all = [...(load.data ?? []), ...more];
  return (
    <div class="stack">
      <p class="muted">
        Hubs come here when the first of their people signs in, or when you make them. You see their plans, not their
        media.
      </p>
      <form
        role="search"
        class="row"
        onSubmit={(e) => {
          e.preventDefault();
          setAsked(q.trim());
        }}
      >
        <div class="grow">
          <Field label="Find a hub" value={q} set={setQ} hint="Part of its name or external id" maxLength={200} />
        </div>
        <button type="submit" class="btn">
          Find
        </button>
      </form>
      {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!load.data && !load.problem && <Loading />}
      {adding ? (
        <NewHub
          cancel={() => setAdding(false)}
          made={(h) => {
            setAdding(false);
            load.set([h, ...(load.data ?? [])]);
            say(`${h.name} is here now.`);
          }}
        />
      ) : (
        <div class="row">
          <button type="button" class="btn primary" onClick={() => setAdding(true)}>
            Make a hub
          </button>
        </div>
      )}
      {load.data && all.length === 0 && <p class="muted">No hub fits.</p>}
      <ul class="stack" aria-label="Hubs">
        {all.map((h) => (
          <One key={h.id} first={h} />
        ))}
      </ul>
      {next && (
        <div class="row">
          <Act
            do={async () => {
              const page = await ask(next);
              setMore([...more, ...page.items]);
              setNext(page.next);
            }}
          >
            Show more
          </Act>
        </div>
      )}
    </div>
  );
}

function One({ first }: { first: Hub }) {
  const [h, setHub] = useState(first);
  const [plan, setPlan] = useState<Plan>(first.operator_plan);
  const [quota, setQuota] = useState(String(first.quota_bytes / GB));
  const [problem, setProblem] = useState<Problem>();
  const id = useId();
  const bytes = quotaOf(quota);
  const save = async () => {
    setProblem(undefined);
    const saved = await call(
      api.PATCH("/v1/operator/hubs/{id}", {
        params: { path: { id: h.id }, header: { "If-Match": h.etag } },
        headers: { "Content-Type": "application/merge-patch+json" },
        body: { operator_plan: plan, quota_bytes: bytes },
      }),
    );
    setHub(saved);
    say(`${saved.name} is on the plan ${planWord(saved.plan)}.`);
  };
  const failed = async (p: Problem) => {
    setProblem(p);
    if (p.code !== "stale") return;
    try {
      setHub(await call(api.GET("/v1/operator/hubs/{id}", { params: { path: { id: h.id } } })));
    } catch (e) {
      setProblem(asProblem(e));
    }
  };
  return (
    <li class="card stack-s" data-hub={h.id}>
      <div class="spread">
        <h2>
          <bdi>{h.name}</bdi>
        </h2>
        <span class={`badge ${h.allows_integrations ? "ok" : ""}`}>{planWord(h.plan)}</span>
      </div>
      {problem && <ProblemBanner problem={problem} />}
      <dl class="facts">
        <dt>Hub id</dt>
        <dd>
          <code class="wrap">{h.id}</code>
        </dd>
        <dt>External id</dt>
        <dd class="wrap">
          <bdi>{h.external_id}</bdi> <span class="muted small">at {h.issuer}</span>
        </dd>
        {h.downgraded_at && (
          <>
            <dt>Without Kaltura</dt>
            <dd>since {when(h.downgraded_at)}; for a while its media can still be read</dd>
          </>
        )}
      </dl>
      <div class="fields">
        <div class="field">
          <label for={`${id}-plan`}>Plan</label>
          <select id={`${id}-plan`} value={plan} onChange={(e) => setPlan(e.currentTarget.value as Plan)}>
            <option value="provider">As the identity provider says ({planWord(h.provider_plan)})</option>
            {plans.map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </select>
        </div>
        <Field
          label="Upload quota in GB"
          value={quota}
          set={setQuota}
          inputMode="numeric"
          hint="What unfinished uploads may reserve together; 0 means no limit."
          problem={bytes === undefined ? "Enter a number, 0 or more." : undefined}
          maxLength={12}
        />
      </div>
      <div class="row">
        <Act
          small
          kind="primary"
          do={save}
          failed={failed}
          disabled={bytes === undefined || (plan === h.operator_plan && bytes === h.quota_bytes)}
          aria-label={`Save ${h.name}`}
        >
          Save
        </Act>
      </div>
    </li>
  );
}

function NewHub({ made, cancel }: { made: (h: Hub) => void; cancel: () => void }) {
  const [d, set] = useState({ issuer: "", external_id: "", name: "", operator_plan: "provider" as Plan });
  const [problem, setProblem] = useState<Problem>();
  const id = useId();
  const at = (pointer: string) => problem?.fields.find((f) => f.pointer === pointer)?.detail;
  return (
    <section class="card stack" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Make a hub</h2>
      {problem && <ProblemBanner problem={problem} />}
      <div class="fields">
        <Field label="Name" value={d.name} set={(name) => set({ ...d, name })} problem={at("/name")} maxLength={200} />
        <Field
          label="Issuer"
          type="url"
          value={d.issuer}
          set={(issuer) => set({ ...d, issuer })}
          hint="The identity provider where its people sign in."
          problem={at("/issuer")}
          maxLength={2000}
        />
        <Field
          label="External id"
          value={d.external_id}
          set={(external_id) => set({ ...d, external_id })}
          hint="The identity provider's id of the hub."
          problem={at("/external_id")}
          maxLength={255}
        />
        <div class="field">
          <label for={`${id}-plan`}>Plan</label>
          <select
            id={`${id}-plan`}
            value={d.operator_plan}
            onChange={(e) => set({ ...d, operator_plan: e.currentTarget.value as Plan })}
          >
            <option value="provider">As the identity provider says</option>
            {plans.map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </select>
        </div>
      </div>
      <div class="row">
        <Act
          kind="primary"
          failed={setProblem}
          do={async () => {
            setProblem(undefined);
            made(await call(api.POST("/v1/operator/hubs", { body: d })));
          }}
        >
          Make the hub
        </Act>
        <button type="button" class="btn" onClick={cancel}>
          Cancel
        </button>
      </div>
    </section>
  );
}
