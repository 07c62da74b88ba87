import { useState } from "preact/hooks";
import { announce } from "../announce";
import { api, call, type Problem, type WebhookDelivery } from "../api";
import { when } from "../format";
import { Act, Loading, ProblemBanner, useLoad } from "../ui/parts";

const word = { pending: "On its way", delivered: "Taken", failed: "Given up" };
const tone = { pending: "warn", delivered: "ok", failed: "bad" };

/** What was sent to an endpoint and how it answered, one message at a time or a whole time again. */
export function Deliveries({ hub, id, on }: { hub: string; id: string; on: boolean }) {
  const path = { hub, id };
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const load = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/webhooks/{id}/deliveries", { params: { path, query: { limit: 20, cursor } } })),
    [hub, id, cursor],
  );
  const [problem, setProblem] = useState<Problem>();
  const again = async (d: WebhookDelivery) => {
    setProblem(undefined);
    await call(
      api.POST("/v1/hubs/{hub}/webhooks/{id}/deliveries/{delivery}/redeliver", {
        params: { path: { ...path, delivery: d.id } },
      }),
    );
    announce("The message is sent again.");
    load.again();
  };
  return (
    <div class="stack">
      {problem && <ProblemBanner problem={problem} />}
      {load.problem && !load.data && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!load.data && !load.problem && <Loading />}
      {load.data?.items.length === 0 && <p class="muted">Nothing was sent in the last seven days.</p>}
      {load.data && load.data.items.length > 0 && (
        <ul class="stack" aria-label="Messages">
          {load.data.items.map((d) => (
            <li key={d.id} class="stack-s" data-delivery={d.id}>
              <p class="wrap">
                <span class={`badge ${tone[d.state]}`}>{word[d.state]}</span> <strong>{d.event_type}</strong>{" "}
                <span class="small muted">{when(d.created_at)}</span>
              </p>
              <p class="small muted wrap">
                {d.attempts === 0 ? "Not tried yet." : `${d.attempts} ${d.attempts === 1 ? "try" : "tries"}. `}
                {d.text ?? (d.status ? `Answered ${d.status}.` : "")}
                {d.duration_ms ? ` It took ${d.duration_ms} ms.` : ""}
                {d.state === "pending" && d.next_try_at && d.attempts > 0 ? ` Next try ${when(d.next_try_at)}.` : ""}
              </p>
              {d.excerpt && (
                <p class="small wrap">
                  The answer began: <code class="wrap">{d.excerpt}</code>
                </p>
              )}
              <div class="row">
                <Act
                  small
                  disabled={!on}
                  do={() => again(d)}
                  failed={setProblem}
                  aria-label={`Send ${d.event_type} of ${when(d.created_at)} again`}
                >
                  Send again
                </Act>
              </div>
            </li>
          ))}
        </ul>
      )}
      <div class="row">
        <Act small do={async () => load.again()}>
          Look again
        </Act>
        {cursors.length > 0 && (
          <Act small do={async () => setCursors(cursors.slice(0, -1))}>
            Newer
          </Act>
        )}
        {load.data?.next && (
          <Act small do={async () => setCursors([...cursors, load.data?.next ?? ""])}>
            Older
          </Act>
        )}
      </div>
      <Replay hub={hub} id={id} on={on} done={load.again} />
    </div>
  );
}

/** Sends what happened in a time and did not arrive. */
function Replay({ hub, id, on, done }: { hub: string; id: string; on: boolean; done: () => void }) {
  const local = (at: Date) => new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const [from, setFrom] = useState(() => local(new Date(Date.now() - 86_400_000)));
  const [to, setTo] = useState(""); // until now, whenever that is
  const [all, setAll] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const send = async () => {
    setProblem(undefined);
    let queued = 0;
    let start: string | undefined = new Date(from).toISOString();
    const end = new Date(to || Date.now() + 3_600_000).toISOString(); // this clock may be slow
    while (start) {
      const r: { queued: number; next_from?: string } = await call(
        api.POST("/v1/hubs/{hub}/webhooks/{id}/replay", {
          params: { path: { hub, id } },
          body: { from: start, to: end, all },
        }),
      );
      queued += r.queued;
      start = r.next_from === start ? undefined : r.next_from;
    }
    announce(queued === 0 ? "Nothing was missing." : `${queued} messages are on their way.`);
    done();
  };
  return (
    <details>
      <summary>Send what was missed</summary>
      <div class="stack">
        <p class="small muted">
          Sends what happened in this time and did not arrive, also while the endpoint was switched off; thirty days
          back.
        </p>
        {problem && <ProblemBanner problem={problem} />}
        <div class="field">
          <label for={`from-${id}`}>From</label>
          <input id={`from-${id}`} type="datetime-local" value={from} onInput={(e) => setFrom(e.currentTarget.value)} />
        </div>
        <div class="field">
          <label for={`to-${id}`}>Until</label>
          <input
            id={`to-${id}`}
            type="datetime-local"
            value={to}
            aria-describedby={`to-hint-${id}`}
            onInput={(e) => setTo(e.currentTarget.value)}
          />
          <span class="hint" id={`to-hint-${id}`}>
            Empty: until now.
          </span>
        </div>
        <label class="row">
          <input type="checkbox" checked={all} onChange={(e) => setAll(e.currentTarget.checked)} />
          Also what was taken already
        </label>
        <div class="row">
          <Act small disabled={!on || !from} do={send} failed={setProblem}>
            Send
          </Act>
        </div>
      </div>
    </details>
  );
}
