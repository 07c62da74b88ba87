import { useEffect, useState } from "preact/hooks";
import { announce, say } from "../announce";
import { api, call, type Integration, type NotificationHook, type Problem, type Reconciliation } from "../api";
import { ago, count, when } from "../format";
import { Once } from "../ui/once";
import { Act, Banner, Loading, ProblemBanner, useLoad } from "../ui/parts";

/** The end of the App Token, told ahead of time. */
export function ExpiryBanner({ i, rotate }: { i: Integration; rotate: () => void }) {
  const e = i.expiry;
  if (!e?.near) return null;
  return (
    <Banner
      tone={e.days_left <= 3 ? "error" : "warn"}
      action={
        <button type="button" class="btn small" onClick={rotate}>
          Replace the App Token
        </button>
      }
    >
      <p>
        <strong>{e.message}</strong> {e.next_step}
      </p>
    </Banner>
  );
}

const underWay = (r?: Reconciliation) => r?.state === "waiting" || r?.state === "running";

/** What was deleted or changed in Kaltura, as the last comparison found it. */
export function ReconciliationCard({ hub }: { hub: string }) {
  const path = { hub };
  const url = "/v1/hubs/{hub}/integrations/kaltura/reconciliation";
  const load = useLoad(() => call(api.GET(url, { params: { path } })), [hub]);
  const [problem, setProblem] = useState<Problem>();
  const r = load.data;
  useEffect(() => {
    if (!underWay(r)) return;
    const t = setInterval(load.again, 1500);
    return () => clearInterval(t);
  }, [underWay(r)]);
  return (
    <section class="card stack-s" aria-labelledby="reconcile-title">
      <h2 id="reconcile-title">Library and Kaltura compared</h2>
      <p class="muted">
        Once a day we ask Kaltura about everything in the library: what was deleted there says so, what was renamed or
        tagged follows.
      </p>
      {(problem ?? load.problem) && <ProblemBanner problem={(problem ?? load.problem)!} retry={load.again} />}
      {!r && !load.problem && <Loading />}
      {r && (
        <>
          <div role="status">
            <ReconciliationText r={r} />
          </div>
          <div class="row">
            <Act
              failed={setProblem}
              disabled={underWay(r)}
              do={async () => {
                setProblem(undefined);
                load.set(await call(api.POST(url, { params: { path } })));
                announce("The library is being compared with Kaltura.");
              }}
            >
              Compare now
            </Act>
          </div>
        </>
      )}
    </section>
  );
}

function ReconciliationText({ r }: { r: Reconciliation }) {
  if (r.state === "never") return <p>Not compared yet.</p>;
  if (underWay(r)) return <Loading what="Comparing" />;
  const found = [
    [r.lost, "lost its source", "lost their source"],
    [r.found, "has its source back", "have their source back"],
    [r.changed, "follows a change", "follow a change"],
  ] as const;
  const news = found.filter(([n]) => n > 0).map(([n, one, many]) => `${count(n, "item")} ${n === 1 ? one : many}`);
  return (
    <>
      {r.error && (
        <Banner tone="warn">
          <p>
            <strong>Not finished: {r.error.message}</strong> What we could not ask for stays as it was; we try again by
            ourselves.
          </p>
        </Banner>
      )}
      <p>
        {r.ended_at && `Compared ${ago(r.ended_at)}: `}
        {count(r.entries, "entry", "entries")} looked at, {news.length ? news.join(", ") : "nothing new"}.
        {r.unknown > 0 && ` About ${count(r.unknown, "entry", "entries")} Kaltura gave no certain answer.`}
      </p>
    </>
  );
}

/** Kaltura's HTTP notifications: where they go and what signs them. */
export function NotificationsCard({ hub }: { hub: string }) {
  const path = { hub };
  const url = "/v1/hubs/{hub}/integrations/kaltura/notifications";
  const load = useLoad(() => call(api.GET(url, { params: { path } })), [hub]);
  const [problem, setProblem] = useState<Problem>();
  const [made, setMade] = useState<NotificationHook>();
  const h = load.data;
  const make = async () => {
    setProblem(undefined);
    const now = await call(api.POST(url, { params: { path } }));
    setMade(now);
    load.set({ ...now, secret: undefined });
  };
  const remove = async () => {
    setProblem(undefined);
    if (!h) return;
    await call(api.DELETE(url, { params: { path, header: { "If-Match": h.etag } } }));
    load.again();
    say("Notifications are no longer taken. Changes are found by asking Kaltura.");
  };
  return (
    <section class="card stack-s" aria-labelledby="hook-title">
      <div class="spread">
        <h2 id="hook-title">Notifications from Kaltura</h2>
        {h && <span class={`badge ${h.active ? "ok" : ""}`}>{h.active ? "On" : "Off"}</span>}
      </div>
      <p class="muted">
        With an HTTP notification template in Kaltura, changes show here at once instead of when we ask next. It is only
        a hint: we always ask Kaltura what is true.
      </p>
      {(problem ?? load.problem) && <ProblemBanner problem={(problem ?? load.problem)!} retry={load.again} />}
      {!h && !load.problem && <Loading />}
      {h && (
        <>
          {h.active && (
            <dl class="facts">
              <dt>Address</dt>
              <dd>
                <code class="wrap">{h.url}</code>
              </dd>
              <dt>Secret made</dt>
              <dd>{h.made_at ? when(h.made_at) : "–"}</dd>
              <dt>Last one taken</dt>
              <dd>{h.last_at ? ago(h.last_at) : "None yet"}</dd>
            </dl>
          )}
          <div class="row">
            <Act do={make} failed={setProblem}>
              {h.active ? "Make another secret" : "Make a secret"}
            </Act>
            {h.active && (
              <Act kind="danger" do={remove} failed={setProblem}>
                Turn off
              </Act>
            )}
          </div>
        </>
      )}
      {made?.secret && (
        <Once
          title="The signing secret"
          made={[
            { label: "Address (url)", text: made.url, copy: "Copy the address" },
            { label: "Secret (signSecret)", text: made.secret, copy: "Copy the secret" },
          ]}
          done={() => setMade(undefined)}
        >
          <Banner tone="warn">
            <p>
              In Kaltura, give the HTTP notification template this address and this secret, and choose SHA-256. The
              secret is never shown again.
            </p>
          </Banner>
        </Once>
      )}
    </section>
  );
}
