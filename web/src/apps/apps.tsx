import { useEffect, useState } from "preact/hooks";
import { announce, say } from "../announce";
import { asProblem, type Problem } from "../api";
import { ago, when } from "../format";
import { Once } from "../ui/once";
import { Act, Dialog, Loading, ProblemBanner } from "../ui/parts";
import { AppForm, typeWords } from "./form";
import type { App, AppPage, AppSecret, Registry } from "./registry";

/** The registered apps with all that can be done to them. */
export function Apps({ registry, hubs }: { registry: Registry; hubs?: { id: string; name: string }[] }) {
  const [page, setPage] = useState<AppPage>();
  const [problem, setProblem] = useState<Problem>();
  const [adding, setAdding] = useState(false);
  const [shown, setShown] = useState<AppSecret>();

  const load = async (cursor?: string) => {
    setProblem(undefined);
    try {
      const more = await registry.list(cursor);
      setPage((had) => (cursor && had ? { ...more, items: [...had.items, ...more.items] } : more));
    } catch (e) {
      setProblem(asProblem(e));
    }
  };
  useEffect(() => {
    load();
  }, [registry]);

  const replace = (app: App) =>
    setPage((had) => had && { ...had, items: had.items.map((x) => (x.id === app.id ? app : x)) });
  const made = (s: AppSecret) => {
    setShown(s);
    setAdding(false);
    announce(s.secret ? "Copy the secret now: it is never shown again." : "The app is registered.");
  };

  if (!page) return problem ? <ProblemBanner problem={problem} retry={() => load()} /> : <Loading />;
  return (
    <div class="stack">
      {problem && <ProblemBanner problem={problem} retry={() => load()} />}
      {shown && (
        <Once
          card
          testid="new-secret"
          title={
            <>
              <bdi>{shown.client.name}</bdi> is ready
            </>
          }
          made={[
            { label: "Client id", text: shown.client.id, testid: "client-id" },
            ...(shown.secret
              ? [{ label: "Secret", text: shown.secret, copy: "Copy the secret", testid: "client-secret" }]
              : []),
          ]}
          done={() => setShown(undefined)}
        />
      )}
      {adding ? (
        <section class="card stack" aria-labelledby="add-app">
          <h2 id="add-app">Register an app</h2>
          <AppForm
            scopes={page.scopes}
            hubs={hubs}
            cancel={() => setAdding(false)}
            save={async (body, hub) => {
              const s = await registry.create(body, hub);
              setPage({ ...page, items: [s.client, ...page.items] });
              made(s);
            }}
          />
        </section>
      ) : (
        <div class="row">
          <button type="button" class="btn primary" onClick={() => setAdding(true)}>
            Register an app
          </button>
        </div>
      )}
      {page.items.length === 0 && !adding && <p class="muted">No app is registered yet.</p>}
      <ul class="stack" aria-label="Apps">
        {page.items.map((app) => (
          <One
            key={app.id}
            app={app}
            page={page}
            hub={hubs && (hubs.find((h) => h.id === app.hub_id)?.name ?? app.hub_id ?? "All hubs")}
            registry={registry}
            changed={replace}
            made={(s) => {
              replace(s.client);
              made(s);
            }}
            gone={() => setPage({ ...page, items: page.items.filter((x) => x.id !== app.id) })}
          />
        ))}
      </ul>
      {page.next && (
        <div class="row">
          <Act do={() => load(page.next)}>Show more</Act>
        </div>
      )}
    </div>
  );
}

function One(p: {
  app: App;
  page: AppPage;
  hub?: string;
  registry: Registry;
  changed: (a: App) => void;
  made: (s: AppSecret) => void;
  gone: () => void;
}) {
  const { app } = p;
  const [problem, setProblem] = useState<Problem>();
  const [open, setOpen] = useState<"" | "change" | "secret" | "delete">("");
  const close = () => setOpen("");
  const turn = async () => {
    setProblem(undefined);
    p.changed(await p.registry.update(app, { enabled: !app.enabled }));
    say(app.enabled ? `${app.name} is switched off.` : `${app.name} is switched on.`);
  };
  return (
    <li class="card stack-s" data-app={app.id}>
      <div class="spread">
        <h2>
          <bdi>{app.name}</bdi>
        </h2>
        <span class={`badge ${app.enabled ? "ok" : "bad"}`}>{app.enabled ? "Enabled" : "Switched off"}</span>
      </div>
      {problem && <ProblemBanner problem={problem} />}
      <dl class="facts">
        <dt>Kind</dt>
        <dd>
          {typeWords[app.type][0]}
          {p.hub && (
            <span class="muted">
              {" "}
              · <bdi>{p.hub}</bdi>
            </span>
          )}
        </dd>
        <dt>Client id</dt>
        <dd>
          <code class="wrap">{app.id}</code>
        </dd>
        <dt>Last used</dt>
        <dd>{app.last_used_at ? ago(app.last_used_at) : "Never"}</dd>
        <dt>May do</dt>
        <dd class="small wrap">{app.scopes.join(", ")}</dd>
        {app.redirect_uris.length > 0 && (
          <>
            <dt>Redirect URIs</dt>
            <dd class="small wrap">{app.redirect_uris.join(", ")}</dd>
          </>
        )}
        {app.origins.length > 0 && (
          <>
            <dt>Origins</dt>
            <dd class="small wrap">{app.origins.join(", ")}</dd>
          </>
        )}
        {app.old_secret_until && (
          <>
            <dt>Old secret</dt>
            <dd>works until {when(app.old_secret_until)}</dd>
          </>
        )}
      </dl>
      {open === "change" ? (
        <AppForm
          app={app}
          scopes={p.page.scopes}
          cancel={close}
          save={async (body) => {
            const { type: _, ...patch } = body;
            p.changed(await p.registry.update(app, patch));
            close();
            say("The app was changed.");
          }}
        />
      ) : (
        <div class="row">
          <button type="button" class="btn small" onClick={() => setOpen("change")} aria-label={`Change ${app.name}`}>
            Change
          </button>
          {app.auth_method === "client_secret_basic" && (
            <button
              type="button"
              class="btn small"
              onClick={() => setOpen("secret")}
              aria-label={`New secret for ${app.name}`}
            >
              New secret…
            </button>
          )}
          <Act small do={turn} failed={setProblem} aria-label={`Switch ${app.enabled ? "off" : "on"} ${app.name}`}>
            {app.enabled ? "Switch off" : "Switch on"}
          </Act>
          <button
            type="button"
            class="btn small danger"
            onClick={() => setOpen("delete")}
            aria-label={`Delete ${app.name}`}
          >
            Delete…
          </button>
        </div>
      )}
      {open === "secret" && (
        <Rotate
          app={app}
          close={close}
          rotate={async (seconds) => {
            p.made(await p.registry.rotate(app, seconds));
            close();
          }}
        />
      )}
      {open === "delete" && (
        <Dialog
          slim
          title={`Delete ${app.name}?`}
          close={close}
          foot={
            <>
              <button type="button" class="btn" onClick={close}>
                Keep it
              </button>
              <Act
                kind="danger"
                failed={(e) => {
                  setProblem(e);
                  close();
                }}
                do={async () => {
                  await p.registry.remove(app);
                  p.gone();
                  say(`${app.name} was deleted.`);
                }}
              >
                Delete
              </Act>
            </>
          }
        >
          <p>
            Its tokens stop working at once, and all that people allowed it is forgotten. This cannot be undone;
            switching it off can.
          </p>
        </Dialog>
      )}
    </li>
  );
}

const overlaps: [number, string][] = [
  [0, "Not at all: it stops now"],
  [3600, "One hour"],
  [86400, "One day"],
  [604800, "Seven days"],
];

function Rotate({ app, close, rotate }: { app: App; close: () => void; rotate: (seconds: number) => Promise<void> }) {
  const [seconds, setSeconds] = useState(86400);
  const [problem, setProblem] = useState<Problem>();
  return (
    <Dialog
      slim
      title={`New secret for ${app.name}`}
      close={close}
      foot={
        <>
          <button type="button" class="btn" onClick={close}>
            Cancel
          </button>
          <Act kind="primary" do={() => rotate(seconds)} failed={setProblem}>
            Make a new secret
          </Act>
        </>
      }
    >
      <div class="stack">
        {problem && <ProblemBanner problem={problem} />}
        <div class="field">
          <label for="overlap">How long does the present secret go on working?</label>
          <select id="overlap" value={seconds} onChange={(e) => setSeconds(Number(e.currentTarget.value))}>
            {overlaps.map(([n, words]) => (
              <option key={n} value={n}>
                {words}
              </option>
            ))}
          </select>
        </div>
        {app.old_secret_until && <p class="muted">The secret before that one ends now.</p>}
      </div>
    </Dialog>
  );
}
