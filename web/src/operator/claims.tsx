import { useId, useRef, useState } from "preact/hooks";
import { announce } from "../announce";
import { Problem } from "../api";
import { Act, Area, Banner, Field, ProblemBanner } from "../ui/parts";
import { type ClaimMapping, type ClaimsResult, type Provider, providers } from "./providers";

type Role = NonNullable<ClaimMapping["default_role"]>;
type Plan = NonNullable<ClaimMapping["default_plan"]>;

const roles: [Role, string][] = [
  ["admin", "Admin"],
  ["content_admin", "Content admin"],
  ["participant", "Participant"],
];
const plans: [Plan, string][] = [
  ["free", "Free"],
  ["enterprise", "Enterprise"],
  ["university", "University"],
];
const word = (list: [string, string][], value?: string) => list.find(([v]) => v === value)?.[1] ?? "";

const paths: [keyof ClaimMapping & string, string, string][] = [
  ["hubs", "List of hubs", "isthmus_hubs"],
  ["hub_id", "Hub: id", "id"],
  ["hub_name", "Hub: name", "name"],
  ["role", "Hub: role", "role"],
  ["plan", "Hub: plan", "plan"],
  ["role_claim", "Role of the person", ""],
  ["plan_claim", "Plan of the person", ""],
];
const sample = { sub: "1234", email: "pat@lakeside.example", email_verified: true, name: "Pat" };

interface Pair<T> {
  theirs: string;
  ours: T;
}
const pairs = <T,>(map?: Record<string, T>): Pair<T>[] =>
  Object.entries(map ?? {}).map(([theirs, ours]) => ({ theirs, ours }));
const mapOf = <T,>(list: Pair<T>[]): Record<string, T> =>
  Object.fromEntries(list.filter((x) => x.theirs.trim()).map((x) => [x.theirs.trim(), x.ours]));

/** Where hubs, roles and plans are in a provider's claims, and what a sign-in with some claims would give. */
export function Claims(p: { provider: Provider; save?: (m: ClaimMapping) => Promise<unknown>; close: () => void }) {
  const first = p.provider.claims;
  const [text, setText] = useState<Record<string, string>>(
    Object.fromEntries(paths.map(([key]) => [key, String(first[key] ?? "")])),
  );
  const [roleMap, setRoleMap] = useState(pairs<Role>(first.roles));
  const [planMap, setPlanMap] = useState(pairs<Plan>(first.plans));
  const [rest, setRest] = useState({
    role: first.default_role ?? "",
    plan: first.default_plan ?? "",
    partial: first.partial ?? false,
  });
  const [problem, setProblem] = useState<Problem>();
  const at = (pointer: string) => problem?.fields.find((f) => f.pointer === pointer)?.detail;
  const mapping = (): ClaimMapping => ({
    ...Object.fromEntries(paths.map(([key]) => [key, text[key]!.trim()]).filter(([, v]) => v)),
    roles: mapOf(roleMap),
    plans: mapOf(planMap),
    ...(rest.role && { default_role: rest.role as Role }),
    ...(rest.plan && { default_plan: rest.plan as Plan }),
    partial: rest.partial,
  });
  return (
    <div class="stack">
      {p.save && (
        <>
          <p class="muted">
            A path is the name of a claim, or, with a slash in front, a JSON Pointer such as{" "}
            <code>/realm_access/spaces</code>. Paths of a hub are looked up inside each element of the list. Empty: the
            name that is shown in grey.
          </p>
          <div class="fields">
            {paths.map(([key, label, usual]) => (
              <Field
                key={key}
                label={label}
                value={text[key]!}
                set={(v) => setText({ ...text, [key]: v })}
                placeholder={usual}
                hint={key.endsWith("_claim") ? "For hubs that do not say it themselves." : undefined}
                problem={at(`/claims/${key}`)}
                maxLength={255}
              />
            ))}
          </div>
          <Pairs
            title="Roles"
            what="role"
            hint="None: our own names admin, content_admin, participant. One that is not named here is a participant."
            list={roleMap}
            set={setRoleMap}
            ours={roles}
            problem={at("/claims/roles")}
          />
          <Pairs
            title="Plans"
            what="plan"
            hint="None: our own names free, enterprise, university. One that is not named here is free."
            list={planMap}
            set={setPlanMap}
            ours={plans}
            problem={at("/claims/plans")}
          />
          <div class="fields">
            <Choice
              label="Role of who has none"
              value={rest.role}
              set={(role) => setRest({ ...rest, role: role as Role })}
              options={[["", "Participant"], ...roles.filter(([v]) => v !== "participant")]}
            />
            <Choice
              label="Plan of a hub that has none"
              value={rest.plan}
              set={(plan) => setRest({ ...rest, plan: plan as Plan })}
              options={[["", "Stays as it is; a new hub is free"], ...plans]}
            />
          </div>
          <label class="check">
            <input
              type="checkbox"
              checked={rest.partial}
              onChange={(e) => setRest({ ...rest, partial: e.currentTarget.checked })}
            />
            <span>
              The list names only some hubs of a person: that a hub is missing does not mean that they left it
            </span>
          </label>
        </>
      )}
      <Try provider={p.provider} mapping={mapping} />
      {problem && <ProblemBanner problem={problem} />}
      <div class="row">
        {p.save && (
          <Act
            kind="primary"
            failed={setProblem}
            do={async () => {
              setProblem(undefined);
              await p.save?.(mapping());
            }}
          >
            Save the claims
          </Act>
        )}
        <button type="button" class="btn" onClick={p.close}>
          {p.save ? "Cancel" : "Close"}
        </button>
      </div>
    </div>
  );
}

function Choice(p: { label: string; value: string; set: (v: string) => void; options: [string, string][] }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{p.label}</label>
      <select id={id} value={p.value} onChange={(e) => p.set(e.currentTarget.value)}>
        {p.options.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Their names beside ours, as many as there are. */
function Pairs<T extends string>(p: {
  title: string;
  what: string;
  hint: string;
  list: Pair<T>[];
  set: (list: Pair<T>[]) => void;
  ours: [T, string][];
  problem?: string;
}) {
  const box = useRef<HTMLFieldSetElement>(null);
  const put = (i: number, part: Partial<Pair<T>>) => p.set(p.list.map((x, j) => (i === j ? { ...x, ...part } : x)));
  const focus = (selector: string) =>
    requestAnimationFrame(() => {
      const found = box.current?.querySelectorAll<HTMLElement>(selector) ?? [];
      found[found.length - 1]?.focus();
    });
  return (
    <fieldset class="ticks stack-s" ref={box}>
      <legend>{p.title}</legend>
      <p class="small muted">{p.hint}</p>
      {p.list.map((x, i) => (
        <div class="pair" key={i}>
          <input
            class="input"
            aria-label={`Their ${p.what} ${i + 1}`}
            value={x.theirs}
            maxLength={255}
            autocomplete="off"
            spellcheck={false}
            onInput={(e) => put(i, { theirs: e.currentTarget.value })}
          />
          <select
            aria-label={`Our ${p.what} for ${x.theirs || `row ${i + 1}`}`}
            value={x.ours}
            onChange={(e) => put(i, { ours: e.currentTarget.value as T })}
          >
            {p.ours.map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
          <button
            type="button"
            class="btn small"
            aria-label={`Remove the ${p.what} ${x.theirs || `of row ${i + 1}`}`}
            onClick={() => {
              p.set(p.list.filter((_, j) => j !== i));
              focus("button");
            }}
          >
            Remove
          </button>
        </div>
      ))}
      {p.problem && <p class="problem">{p.problem}</p>}
      <div class="row">
        <button
          type="button"
          class="btn small"
          onClick={() => {
            p.set([...p.list, { theirs: "", ours: p.ours[0]![0] }]);
            focus("input");
          }}
        >
          Add a {p.what}
        </button>
      </div>
    </fieldset>
  );
}

/** What a sign-in with pasted claims would give; nothing is kept. */
function Try({ provider, mapping }: { provider: Provider; mapping: () => ClaimMapping }) {
  const [claims, setClaims] = useState(() => {
    const hubs = provider.claims.hubs ?? "isthmus_hubs";
    const own = hubs === "isthmus_hubs" ? { [hubs]: [{ id: "lakeside", name: "Lakeside", role: "admin" }] } : {};
    return JSON.stringify({ ...sample, ...own }, null, 2);
  });
  const [result, setResult] = useState<ClaimsResult>();
  const [problem, setProblem] = useState<Problem>();
  const id = useId();
  const run = async () => {
    setProblem(undefined);
    setResult(undefined);
    let read: unknown;
    try {
      read = JSON.parse(claims);
    } catch {
      read = undefined;
    }
    if (!read || typeof read !== "object" || Array.isArray(read)) {
      throw new Problem({
        status: 400,
        code: "claims",
        detail: "These claims are not a JSON object.",
        next_step: "Paste the middle part of an ID token, decoded: it begins with { and ends with }.",
      });
    }
    const got = await providers.tryClaims(provider, read as Record<string, unknown>, mapping());
    setResult(got);
    announce(`${got.name} would be in ${got.hubs.length === 1 ? "one hub" : `${got.hubs.length} hubs`}.`);
  };
  return (
    <section class="stack-s" aria-labelledby={id}>
      <h3 id={id}>Try it</h3>
      <Area
        label="Try with these claims"
        value={claims}
        set={setClaims}
        rows={8}
        hint="The claims of a decoded ID token. Nothing is saved."
      />
      {problem && <ProblemBanner problem={problem} />}
      <div class="row">
        <Act do={run} failed={setProblem}>
          Try
        </Act>
      </div>
      {result && <Result r={result} />}
    </section>
  );
}

function Result({ r }: { r: ClaimsResult }) {
  return (
    <div class="stack-s" data-testid="tried">
      <dl class="facts">
        <dt>Person</dt>
        <dd class="wrap">
          <bdi>{r.name}</bdi> <span class="muted small">{r.subject}</span>
        </dd>
        <dt>E-mail</dt>
        <dd class="wrap">
          {r.email || "none"}
          <span class="muted small">
            {" "}
            {r.maps_by_email
              ? "verified: their Kaltura user is found by it"
              : "not verified: no Kaltura user is found by it"}
          </span>
        </dd>
      </dl>
      {r.hubs.length === 0 ? (
        <Banner tone="warn">
          <p>
            <strong>These claims name no hub.</strong>{" "}
            {r.partial ? "The person keeps the hubs that they have." : "The person would be in none."} Check the path of
            the list.
          </p>
        </Banner>
      ) : (
        <div class="table-wrap">
          <table class="table">
            <thead>
              <tr>
                <th>Hub</th>
                <th>Role</th>
                <th>Plan</th>
              </tr>
            </thead>
            <tbody>
              {r.hubs.map((h) => (
                <tr key={h.external_id}>
                  <td class="wrap">
                    <bdi>{h.name}</bdi> <span class="muted small">{h.external_id}</span>
                  </td>
                  <td>{word(roles, h.role)}</td>
                  <td>{word(plans, h.plan) || "Unchanged"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}
