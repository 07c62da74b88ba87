import { useId, useState } from "preact/hooks";
import { Problem } from "../api";
import { lines } from "../format";
import { Act, Area, Field, ProblemBanner } from "../ui/parts";
import type { App, AppInput, AppPage, AppType } from "./registry";

export const typeWords: Record<AppType, [string, string]> = {
  machine: ["Server", "A program on a server. It acts for nobody, or exchanges the tokens of its people."],
  web: ["Web app", "A site with a server of its own. People allow it; it keeps a secret or a key."],
  browser: ["Browser app", "A page without a server, or one that shows our media picker. It keeps no secret."],
  native: ["Native app", "A program on people's own devices. It keeps no secret."],
};

interface Draft {
  name: string;
  type: AppType;
  redirects: string;
  origins: string;
  scopes: string[];
  withKey: boolean;
  jwks: string;
  hub: string;
}

function draftOf(app?: App): Draft {
  return {
    name: app?.name ?? "",
    type: app?.type ?? "machine",
    redirects: app?.redirect_uris.join("\n") ?? "",
    origins: app?.origins.join("\n") ?? "",
    scopes: app?.scopes ?? ["media:read", "library:read"],
    withKey: app?.auth_method === "private_key_jwt",
    jwks: app?.jwks ? JSON.stringify(app.jwks, null, 2) : "",
    hub: "",
  };
}

/** Registers an app, or changes one; which kind it is can be chosen only at first. */
export function AppForm(p: {
  app?: App;
  scopes: AppPage["scopes"];
  hubs?: { id: string; name: string }[];
  save: (body: AppInput, hub?: string) => Promise<unknown>;
  cancel?: () => void;
}) {
  const [d, set] = useState(() => draftOf(p.app));
  const [problem, setProblem] = useState<Problem>();
  const id = useId();
  const put = (part: Partial<Draft>) => set({ ...d, ...part });
  // What is wrong with an element of a list names its line.
  const at = (pointer: string) => {
    const f = problem?.fields.find((x) => x.pointer === pointer || x.pointer.startsWith(`${pointer}/`));
    const line = f?.pointer.slice(pointer.length + 1);
    return f && (line ? `Line ${Number(line) + 1}: ${f.detail}` : f.detail);
  };
  const signsIn = d.type !== "machine";
  const keeps = d.type === "machine" || d.type === "web";

  const save = async () => {
    setProblem(undefined);
    const body: AppInput = { name: d.name, type: d.type, scopes: d.scopes };
    if (signsIn) {
      body.redirect_uris = lines(d.redirects);
      body.origins = lines(d.origins);
    }
    if (keeps && d.withKey) {
      try {
        body.jwks = JSON.parse(d.jwks);
      } catch {
        const detail = "This is not JSON. Paste the public keys as a JWK set.";
        throw new Problem({ status: 400, code: "jwks", detail, errors: [{ pointer: "/jwks", detail }] });
      }
    }
    await p.save(body, d.hub || undefined);
  };

  return (
    <div class="stack">
      <Field
        label="Name"
        value={d.name}
        set={(name) => put({ name })}
        hint="People see it when they are asked to allow the app."
        problem={at("/name")}
        maxLength={200}
      />
      {!p.app && (
        <fieldset class="choices">
          <legend>What kind of app is it?</legend>
          {(Object.keys(typeWords) as AppType[]).map((t) => (
            <label class="choice" key={t}>
              <input type="radio" name={`${id}-type`} checked={d.type === t} onChange={() => put({ type: t })} />
              <b>{typeWords[t][0]}</b>
              <span>{typeWords[t][1]}</span>
            </label>
          ))}
        </fieldset>
      )}
      {p.hubs && !p.app && (
        <div class="field">
          <label for={`${id}-hub`}>Hub</label>
          <select
            id={`${id}-hub`}
            value={d.hub}
            onChange={(e) => put({ hub: e.currentTarget.value })}
            aria-describedby={`${id}-hub-h`}
            aria-invalid={at("/hub") ? "true" : undefined}
          >
            <option value="">All hubs</option>
            {p.hubs.map((h) => (
              <option key={h.id} value={h.id}>
                {h.name}
              </option>
            ))}
          </select>
          <span class="hint" id={`${id}-hub-h`}>
            {at("/hub") ?? "In an app of all hubs the person chooses one. A server needs one hub."}
          </span>
        </div>
      )}
      {signsIn && (
        <Area
          label="Redirect URIs"
          value={d.redirects}
          set={(redirects) => put({ redirects })}
          problem={at("/redirect_uris")}
          hint="One per line, where people come back to: https, or http on the person's own machine. Compared letter by letter."
          placeholder="https://app.example.org/callback"
        />
      )}
      {signsIn && (
        <Area
          label="Origins"
          value={d.origins}
          set={(origins) => put({ origins })}
          problem={at("/origins")}
          hint="One per line, without a path: pages that may call this server or show our picker."
          placeholder="https://app.example.org"
        />
      )}
      {keeps && !p.app && (
        <fieldset class="choices">
          <legend>How does it prove who it is?</legend>
          <label class="choice">
            <input type="radio" name={`${id}-auth`} checked={!d.withKey} onChange={() => put({ withKey: false })} />
            <b>With a secret</b>
            <span>Made here and shown once.</span>
          </label>
          <label class="choice">
            <input type="radio" name={`${id}-auth`} checked={d.withKey} onChange={() => put({ withKey: true })} />
            <b>With a key of its own</b>
            <span>You paste the public half; nothing secret is ever sent.</span>
          </label>
        </fieldset>
      )}
      {keeps && d.withKey && (
        <Area
          label="Public keys"
          value={d.jwks}
          set={(jwks) => put({ jwks })}
          problem={at("/jwks")}
          hint="A JWK set. Never paste a private key."
          placeholder={'{"keys": [{"kty": "EC", …}]}'}
        />
      )}
      <fieldset class="ticks stack-s" aria-describedby={at("/scopes") ? `${id}-scopes` : undefined}>
        <legend>What may it do, at most?</legend>
        {p.scopes.map((s) => (
          <label key={s.name} class="check">
            <input
              type="checkbox"
              checked={d.scopes.includes(s.name)}
              onChange={(e) =>
                put({ scopes: e.currentTarget.checked ? [...d.scopes, s.name] : d.scopes.filter((x) => x !== s.name) })
              }
            />
            <span>
              {s.title} <code class="muted">{s.name}</code>
            </span>
          </label>
        ))}
        {at("/scopes") && (
          <p class="problem" id={`${id}-scopes`}>
            {at("/scopes")}
          </p>
        )}
      </fieldset>
      {problem && <ProblemBanner problem={problem} />}
      <div class="row">
        <Act kind="primary" do={save} failed={setProblem}>
          {p.app ? "Save" : "Register the app"}
        </Act>
        {p.cancel && (
          <button type="button" class="btn" onClick={p.cancel}>
            Cancel
          </button>
        )}
      </div>
    </div>
  );
}
