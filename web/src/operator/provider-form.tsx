import { useState } from "preact/hooks";
import type { Problem } from "../api";
import { lines } from "../format";
import { Act, Area, Field, ProblemBanner } from "../ui/parts";
import type { Provider, ProviderInput, ProviderPatch } from "./providers";

const emptied = { scopes: "", audiences: "", age: "" };

/** Adds an identity provider, or changes one; its issuer can be said only at first. */
export function ProviderForm(p: {
  provider?: Provider;
  save: (body: ProviderInput & ProviderPatch) => Promise<unknown>;
  cancel: () => void;
}) {
  const old = p.provider;
  const [d, set] = useState({
    ...emptied,
    issuer: old?.issuer ?? "",
    name: old?.name ?? "",
    clientId: old?.client_id ?? "",
    secret: "",
    noSecret: false,
    domains: old?.email_domains.join("\n") ?? "",
    ...(old && {
      scopes: old.scopes.join(" "),
      audiences: old.audiences.join("\n"),
      age: String(old.max_token_age_seconds / 60),
    }),
  });
  const [problem, setProblem] = useState<Problem>();
  const put = (part: Partial<typeof d>) => set({ ...d, ...part });
  const at = (pointer: string) =>
    problem?.fields.find((f) => f.pointer === pointer || f.pointer.startsWith(`${pointer}/`))?.detail;
  const age = Number(d.age);
  const badAge = d.age !== "" && !(age >= 1 && age <= 1440) ? "Enter 1 to 1440 minutes." : undefined;

  const save = async () => {
    setProblem(undefined);
    const body: ProviderPatch = {
      name: d.name,
      client_id: d.clientId.trim(),
      email_domains: lines(d.domains),
      audiences: lines(d.audiences),
      scopes: d.scopes.split(/\s+/).filter(Boolean),
      ...(d.age !== "" && { max_token_age_seconds: Math.round(age * 60) }),
      ...((d.secret || d.noSecret) && { client_secret: d.noSecret ? "" : d.secret }),
    };
    await p.save({ ...body, client_id: d.clientId.trim(), ...(!old && { issuer: d.issuer.trim() }) } as ProviderInput);
  };

  return (
    <div class="stack">
      <div class="fields">
        {!old && (
          <Field
            label="Issuer"
            type="url"
            value={d.issuer}
            set={(issuer) => put({ issuer })}
            hint="Exactly as its discovery document says. It cannot be changed later: people and hubs are known by it."
            problem={at("/issuer")}
            placeholder="https://id.spaces.example"
            maxLength={2000}
          />
        )}
        <Field
          label="Name"
          value={d.name}
          set={(name) => put({ name })}
          hint="What people choose by when they sign in."
          problem={at("/name")}
          maxLength={200}
        />
        <Field
          label="Client id"
          value={d.clientId}
          set={(clientId) => put({ clientId })}
          hint="What the provider calls Isthmus."
          problem={at("/client_id")}
          maxLength={255}
        />
        <Field
          label="Client secret"
          type="password"
          value={d.secret}
          set={(secret) => put({ secret })}
          hint={
            old?.has_secret
              ? "Leave empty to keep the saved one."
              : "Leave empty for a public client. Stored sealed; nobody can read it again."
          }
          problem={at("/client_secret")}
          maxLength={1000}
        />
      </div>
      {old?.has_secret && (
        <label class="check">
          <input type="checkbox" checked={d.noSecret} onChange={(e) => put({ noSecret: e.currentTarget.checked })} />
          <span>Forget the saved secret: the provider knows Isthmus as a public client</span>
        </label>
      )}
      <Area
        label="E-mail domains"
        value={d.domains}
        set={(domains) => put({ domains })}
        hint="One per line. Only people with a verified address in one of them are let in. Empty: whoever the provider lets in."
        problem={at("/email_domains")}
        placeholder="lakeside.example"
      />
      <details open={Boolean(at("/scopes") ?? at("/audiences") ?? at("/max_token_age_seconds")) || undefined}>
        <summary>Tokens and scopes</summary>
        <div class="stack">
          <Area
            label="Audiences"
            value={d.audiences}
            set={(audiences) => put({ audiences })}
            hint="One per line: client ids of the spaces platform whose tokens may be exchanged here, besides the client id above."
            problem={at("/audiences")}
          />
          <div class="fields">
            <Field
              label="Scopes"
              value={d.scopes}
              set={(scopes) => put({ scopes })}
              hint="Asked for at sign-in, with spaces between. Empty: openid profile email."
              problem={at("/scopes")}
              maxLength={2000}
            />
            <Field
              label="Age of tokens in minutes"
              value={d.age}
              set={(minutes) => put({ age: minutes })}
              inputMode="numeric"
              hint="How long after it was issued a token can be exchanged. Empty: 15."
              problem={badAge ?? at("/max_token_age_seconds")}
              maxLength={6}
            />
          </div>
        </div>
      </details>
      {problem && <ProblemBanner problem={problem} />}
      <div class="row">
        <Act kind="primary" do={save} failed={setProblem} disabled={Boolean(badAge)}>
          {old ? "Save" : "Add and check"}
        </Act>
        <button type="button" class="btn" onClick={p.cancel}>
          Cancel
        </button>
      </div>
    </div>
  );
}
