import { useEffect, useState } from "preact/hooks";
import { announce } from "../announce";
import { api, call, type HealthReport, type Integration, type Problem } from "../api";
import { count, passed, when } from "../format";
import { Act, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { Tries } from "../ui/trouble";

/** The words for a state, and its tone. */
export const healths: Record<string, [string, string]> = {
  ok: ["Working", "ok"],
  degraded: ["Answers badly", "warn"],
  credentials_invalid: ["App Token refused", "bad"],
};

/** How the connection works, what waits for it and how it was before. */
export function HealthCard(p: {
  hub: string;
  state: Integration["health"];
  tried: (i: Integration) => void;
  failed: (p: Problem) => void;
}) {
  const path = { hub: p.hub };
  const [older, setOlder] = useState<HealthReport["history"]>([]);
  const [next, setNext] = useState<string>();
  const ask = (cursor?: string) =>
    call(api.GET("/v1/hubs/{hub}/integrations/kaltura/health", { params: { path, query: { cursor, limit: 8 } } }));
  const load = useLoad(async () => {
    const r = await ask();
    setOlder([]);
    setNext(r.next);
    return r;
  }, [p.hub, p.state]);
  const sick = load.data ? load.data.state !== "ok" : false;
  useEffect(() => {
    if (!sick) return;
    const t = setInterval(load.again, 5000);
    return () => clearInterval(t);
  }, [sick]);
  const r = load.data;
  // It changed by itself: the rest of the page is to know.
  useEffect(() => {
    if (!r || r.state === p.state) return;
    call(api.GET("/v1/hubs/{hub}/integrations/kaltura", { params: { path } })).then(p.tried, p.failed);
  }, [r?.state]);
  const [word, tone] = healths[r?.state ?? p.state] ?? [p.state, ""];
  const waits = r ? r.waiting.uploads + r.waiting.imports : 0;
  return (
    <section class="card stack" aria-labelledby="health-title" data-testid="health">
      <div class="spread">
        <h2 id="health-title">Health</h2>
        <span class={`badge ${tone}`}>{word}</span>
      </div>
      {load.problem && !r && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!r && !load.problem && <Loading />}
      {r && (
        <>
          <dl class="facts">
            <dt>So since</dt>
            <dd>{when(r.since)}</dd>
            {r.state !== "ok" && (
              <>
                <dt>Worked last</dt>
                <dd>{r.last_ok_at ? when(r.last_ok_at) : "never"}</dd>
              </>
            )}
            <dt>Waiting</dt>
            <dd>
              {waits === 0
                ? "nothing"
                : `${count(r.waiting.uploads, "upload")}, ${count(r.waiting.imports, "import")}; they go on by themselves`}
            </dd>
          </dl>
          {r.state !== "ok" && (
            <>
              <Tries c={r} />
              <div class="row">
                <Act
                  icon="retry"
                  failed={p.failed}
                  do={async () => {
                    const now = await call(api.POST("/v1/hubs/{hub}/integrations/kaltura/probe", { params: { path } }));
                    p.tried(now);
                    load.again();
                    announce(now.health === "ok" ? "Kaltura answers and takes the App Token." : now.health_text);
                  }}
                >
                  Try now
                </Act>
              </div>
            </>
          )}
          <details>
            <summary>History</summary>
            <ol class="stack-s history" aria-label="History, newest first">
              {[...r.history, ...older].map((c) => (
                <li key={c.id}>
                  <p>
                    <span class={`badge ${healths[c.state]?.[1] ?? ""}`}>{healths[c.state]?.[0] ?? c.state}</span>{" "}
                    {when(c.since)} {c.until ? `for ${passed(c.since, Date.parse(c.until))}` : "until now"}
                  </p>
                  {c.text && <p class="small muted">{c.text}</p>}
                </li>
              ))}
            </ol>
            {next && (
              <Act
                small
                failed={p.failed}
                do={async () => {
                  const more = await ask(next);
                  setOlder((o) => [...o, ...more.history]);
                  setNext(more.next);
                }}
              >
                Show older
              </Act>
            )}
          </details>
        </>
      )}
    </section>
  );
}
