import { useState } from "preact/hooks";
import { announce, say } from "../announce";
import { api, call, idempotencyKey, type Problem, type Webhook } from "../api";
import { when } from "../format";
import { Once } from "../ui/once";
import { Act, Banner, Dialog, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { Deliveries } from "./webhook-log";

const groups: [string, string][] = [
  ["integration.*", "The connection works, fails, or is about to expire"],
  ["mapping.*", "People are matched with Kaltura users"],
  ["upload.*", "Uploads"],
  ["import.*", "Imports"],
  ["library.*", "The library"],
  ["member.*", "People leave the hub or come back"],
  ["webhook.*", "Another endpoint was switched off"],
];

/** Where the hub's events are sent: list, add, test, last result, log. */
export function Webhooks({ hub }: { hub: string }) {
  const path = { hub };
  const load = useLoad(() => call(api.GET("/v1/hubs/{hub}/webhooks", { params: { path } })), [hub]);
  const [problem, setProblem] = useState<Problem>();
  const [secret, setSecret] = useState("");
  const [url, setUrl] = useState("");
  const [description, setDescription] = useState("");
  const [events, setEvents] = useState<string[]>(["integration.*"]);
  const [key, setKey] = useState(idempotencyKey);
  const add = async () => {
    setProblem(undefined);
    const made = await call(
      api.POST("/v1/hubs/{hub}/webhooks", {
        params: { path, header: { "Idempotency-Key": key } },
        body: { url, description, events },
      }),
    );
    setKey(idempotencyKey());
    setSecret(made.secret);
    setUrl("");
    setDescription("");
    load.again();
    announce("The endpoint was added. Its secret is shown now and never again.");
  };
  const off = load.data?.items.filter((w) => w.state === "disabled" && w.failing_since) ?? [];
  return (
    <section class="card stack" aria-labelledby="webhooks-title" data-testid="webhooks">
      <h2 id="webhooks-title">Webhooks</h2>
      <p class="muted">
        Other systems can be told what happens in this hub. Messages follow Standard Webhooks and are signed. They come
        at least once and in no particular order.
      </p>
      {problem && <ProblemBanner problem={problem} />}
      {load.problem && !load.data && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!load.data && !load.problem && <Loading />}
      {off.map((w) => (
        <Banner key={w.id} tone="warn">
          <p class="wrap">
            <strong>{w.description || w.url} was switched off.</strong> {w.reason} Put the receiver right, switch the
            endpoint on again, then send what was missed.
          </p>
        </Banner>
      ))}
      {secret && (
        <Once
          title="The signing secret"
          made={[{ label: "Secret", text: secret, copy: "Copy the secret", testid: "webhook-secret-value" }]}
          done={() => setSecret("")}
        />
      )}
      {load.data && load.data.items.length > 0 && (
        <ul class="stack" aria-label="Endpoints">
          {load.data.items.map((w) => (
            <Row key={w.id} hub={hub} w={w} changed={load.again} failed={setProblem} secret={setSecret} />
          ))}
        </ul>
      )}
      <details>
        <summary>Add an endpoint</summary>
        <div class="stack">
          <div class="field">
            <label for="webhook-url">Address</label>
            <input
              id="webhook-url"
              class="input"
              type="url"
              inputMode="url"
              placeholder="https://example.org/isthmus"
              value={url}
              onInput={(e) => setUrl(e.currentTarget.value)}
            />
          </div>
          <div class="field">
            <label for="webhook-description">What it is for (optional)</label>
            <input
              id="webhook-description"
              class="input"
              type="text"
              maxLength={500}
              value={description}
              onInput={(e) => setDescription(e.currentTarget.value)}
            />
          </div>
          <fieldset class="bare stack-s">
            <legend class="label">Events</legend>
            {groups.map(([name, words]) => (
              <label key={name} class="tick">
                <input
                  type="checkbox"
                  checked={events.includes(name)}
                  onChange={(e) =>
                    setEvents(e.currentTarget.checked ? [...events, name] : events.filter((x) => x !== name))
                  }
                />
                {words}
              </label>
            ))}
          </fieldset>
          <div class="row">
            <Act kind="primary" disabled={!url || events.length === 0} do={add} failed={setProblem}>
              Add endpoint
            </Act>
          </div>
        </div>
      </details>
    </section>
  );
}

function Row({
  hub,
  w,
  changed,
  failed,
  secret,
}: {
  hub: string;
  w: Webhook;
  changed: () => void;
  failed: (p: Problem) => void;
  secret: (text: string) => void;
}) {
  const path = { hub, id: w.id };
  const [log, setLog] = useState(false);
  const [asked, setAsked] = useState(false);
  const off = w.state === "disabled";
  const word = off ? "Switched off" : w.failing_since ? "Failing" : "Working";
  const test = async () => {
    const sent = await call(api.POST("/v1/hubs/{hub}/webhooks/{id}/test", { params: { path } }));
    for (let i = 0; i < 20; i++) {
      await new Promise((r) => setTimeout(r, 500));
      const log = await call(
        api.GET("/v1/hubs/{hub}/webhooks/{id}/deliveries", { params: { path, query: { limit: 5 } } }),
      );
      const d = log.items.find((x) => x.id === sent.id);
      if (!d || d.attempts === 0) continue;
      say(d.state === "delivered" ? `The receiver took it (${d.status}).` : (d.text ?? "It was not taken."));
      changed();
      return;
    }
    say("The test is on its way; look again in a moment.");
  };
  const turn = async () => {
    await call(
      api.PATCH("/v1/hubs/{hub}/webhooks/{id}", {
        params: { path, header: { "If-Match": w.etag } },
        headers: { "Content-Type": "application/merge-patch+json" },
        body: { enabled: off },
      }),
    );
    changed();
  };
  const rotate = async () => {
    const made = await call(
      api.POST("/v1/hubs/{hub}/webhooks/{id}/rotate-secret", {
        params: { path, header: { "If-Match": w.etag, "Idempotency-Key": idempotencyKey() } },
        body: { overlap_hours: 24 },
      }),
    );
    secret(made.secret);
    changed();
    announce("There is a new secret. The old one signs as well for a day, so change it over in the receiver now.");
  };
  const remove = async () => {
    await call(api.DELETE("/v1/hubs/{hub}/webhooks/{id}", { params: { path, header: { "If-Match": w.etag } } }));
    say("The endpoint was removed.");
    changed();
  };
  return (
    <li class="stack-s" data-webhook={w.id}>
      <p class="wrap">
        <span class={`badge ${off ? "bad" : w.failing_since ? "warn" : "ok"}`}>{word}</span>{" "}
        {w.description && <strong>{w.description} </strong>}
        <bdi>{w.url}</bdi>
      </p>
      <p class="small muted wrap">
        {w.events.join(", ")}. {w.reason}{" "}
        {w.last_at
          ? `Called last ${when(w.last_at)}: ${w.last_text || `answered ${w.last_status}`}`
          : "Not called yet."}
        {w.old_secret_until && Date.parse(w.old_secret_until) > Date.now()
          ? ` The old secret signs as well until ${when(w.old_secret_until)}.`
          : ""}
      </p>
      <div class="row">
        <Act small disabled={off} do={test} failed={failed} aria-label={`Send a test to ${w.url}`}>
          Send a test
        </Act>
        <Act small do={turn} failed={failed} aria-label={`Switch ${off ? "on" : "off"} ${w.url}`}>
          {off ? "Switch on" : "Switch off"}
        </Act>
        <Act small do={rotate} failed={failed} aria-label={`New secret for ${w.url}`}>
          New secret
        </Act>
        <button type="button" class="btn small danger" onClick={() => setAsked(true)} aria-label={`Remove ${w.url}`}>
          Remove…
        </button>
      </div>
      {asked && (
        <Dialog
          slim
          title="Remove this endpoint?"
          close={() => setAsked(false)}
          foot={
            <>
              <button type="button" class="btn" onClick={() => setAsked(false)}>
                Keep it
              </button>
              <Act
                kind="danger"
                do={remove}
                failed={(p) => {
                  setAsked(false);
                  failed(p);
                }}
              >
                Remove
              </Act>
            </>
          }
        >
          <p class="wrap">
            <bdi>{w.url}</bdi> gets nothing more, and its messages and secret are forgotten. Switching it off keeps
            them.
          </p>
        </Dialog>
      )}
      <details onToggle={(e) => setLog(e.currentTarget.open)}>
        <summary aria-label={`Messages to ${w.url}`}>Messages</summary>
        {log && <Deliveries hub={hub} id={w.id} on={!off} />}
      </details>
    </li>
  );
}
