import { useId, useState } from "preact/hooks";
import type { Diagnosis, TokenRequest, Visibility } from "../api";
import { when } from "../format";
import { Icon } from "../ui/icons";
import { Banner, CopyButton, Field } from "../ui/parts";
import { type Draft, type DraftProblems, hashes } from "./credential";

/** The two visibilities in plain words. */
export function VisibilityChoice({ value, set }: { value: Visibility; set: (v: Visibility) => void }) {
  const name = useId();
  const one = (v: Visibility, title: string, text: string) => (
    <label class="choice">
      <input type="radio" name={name} checked={value === v} onChange={() => set(v)} />
      <b>{title}</b>
      <span>{text}</span>
    </label>
  );
  return (
    <fieldset class="choices">
      <legend>What participants see</legend>
      {one("shared", "The whole account", "Everybody in this hub sees all media of the Kaltura account.")}
      {one("own", "Only their own", "Each person sees only media that they own in Kaltura.")}
    </fieldset>
  );
}

/** The exact request that a Kaltura administrator runs. */
export function RequestBox({ request }: { request: TokenRequest }) {
  const [as, setAs] = useState<"body" | "curl">("body");
  const text = as === "curl" ? request.curl : request.body;
  return (
    <div class="stack-s">
      <div class="spread">
        <div class="row">
          <button type="button" class="chip" aria-pressed={as === "body"} onClick={() => setAs("body")}>
            Request
          </button>
          <button type="button" class="chip" aria-pressed={as === "curl"} onClick={() => setAs("curl")}>
            curl
          </button>
        </div>
        <CopyButton text={text} />
      </div>
      {as === "body" && (
        <p class="small">
          <code class="wrap">POST {request.url}</code>
        </p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
      <pre class="code" tabIndex={0} role="region" aria-label={as === "curl" ? "curl command" : "Request body"}>
        {text}
      </pre>
      {request.explain.length > 0 && (
        <details>
          <summary>What the fields mean</summary>
          <ul class="stack-s muted small">
            {request.explain.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

/** The fields in which the credential is pasted. */
export function CredentialFields(p: {
  draft: Draft;
  set: (d: Draft) => void;
  problems: DraftProblems;
  keepToken?: string;
}) {
  const { draft: d, problems } = p;
  const id = useId();
  const put = (key: keyof Draft) => (value: string) => p.set({ ...d, [key]: value });
  return (
    <div class="stack">
      <div class="fields">
        <Field
          label="Service URL"
          value={d.serviceUrl}
          set={put("serviceUrl")}
          type="url"
          problem={problems.serviceUrl}
          hint="Where your Kaltura answers."
          maxLength={2048}
        />
        <Field
          label="Partner id"
          value={d.partnerId}
          set={put("partnerId")}
          inputMode="numeric"
          problem={problems.partnerId}
          hint="The number of your account."
          maxLength={20}
        />
        <Field
          label="App Token id"
          value={d.tokenId}
          set={put("tokenId")}
          problem={problems.tokenId}
          hint="Looks like 0_ab12cd34."
          maxLength={100}
        />
        <Field
          label="App Token"
          value={d.token}
          set={put("token")}
          type="password"
          problem={problems.token}
          hint={
            p.keepToken
              ? `Leave empty to keep the saved one (…${p.keepToken}).`
              : "Stored sealed; nobody can read it again."
          }
          maxLength={500}
        />
        <div class="field">
          <label for={id}>Hash type</label>
          <select
            id={id}
            value={d.hash}
            onChange={(e) => p.set({ ...d, hash: e.currentTarget.value as Draft["hash"] })}
          >
            {hashes.map((h) => (
              <option key={h} value={h}>
                {h}
                {h === "MD5" || h === "SHA1" ? " (weak)" : ""}
              </option>
            ))}
          </select>
          <span class="hint">As in the request: SHA256 unless you changed it.</span>
        </div>
      </div>
    </div>
  );
}

const checkNames: Record<string, string> = {
  reach: "Reach Kaltura",
  session: "Start a session",
  list_own: "List a person's own media",
  list_all: "List the whole account",
  create_user: "Create users",
  upload: "Upload",
  set_tags: "Set tags",
  category: "Keep to the category",
  entitlement: "Category entitlement",
  conversion_profile: "Conversion profile",
  player: "Play with the second App Token",
};
const stateWords: Record<string, string> = { ok: "works", failed: "does not work", skipped: "not tried" };

/** What a credential can do, privilege by privilege, with what to change where it cannot. */
export function DiagnosisView({ d }: { d: Diagnosis }) {
  const missing = d.checks.filter((c) => c.needed && c.state === "failed").length;
  return (
    <div class="stack-s">
      {missing > 0 ? (
        <Banner tone="error">
          <p>
            <strong>
              {missing === 1
                ? "One thing that is needed does not work."
                : `${missing} things that are needed do not work.`}
            </strong>{" "}
            Below is what to change in Kaltura.
          </p>
        </Banner>
      ) : (
        <Banner tone="good">
          <p>
            <strong>The App Token can do all that is needed.</strong>
            {d.entry_count >= 0 && ` The account holds ${d.entry_count.toLocaleString("en")} media.`}
          </p>
        </Banner>
      )}
      {d.warnings.map((w) => (
        <Banner tone="warn" key={w}>
          <p>{w}</p>
        </Banner>
      ))}
      <ul class="checks">
        {d.checks.map((c) => (
          <li key={c.id} class={c.state} data-check={c.id} data-state={c.state}>
            <Icon name={c.state === "ok" ? "check" : c.state === "failed" ? "error" : "minus"} />
            <div class="grow">
              <p>
                <strong>{checkNames[c.id] ?? c.id}</strong> <span class="visually-hidden">{stateWords[c.state]}</span>
                {c.state === "failed" && !c.needed && <span class="badge">not needed</span>}
              </p>
              <p class="small muted">{c.text}</p>
            </div>
            {c.fix && <p class="fix">{c.fix}</p>}
          </li>
        ))}
      </ul>
      <p class="small muted">
        Looked at {when(d.at)}.{d.fixed_user ? ` The token is bound to the user ${d.fixed_user}.` : ""}
        {d.token_expiry ? ` It expires ${when(d.token_expiry)}.` : ""}
      </p>
    </div>
  );
}
