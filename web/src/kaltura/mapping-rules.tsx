import { useEffect, useState } from "preact/hooks";
import { announce } from "../announce";
import { api, call, type MappingRule, type MappingRun, type MappingRunItem, type Problem } from "../api";
import { ago, count, percent } from "../format";
import { usePages } from "../library/pages";
import { Act, Banner, ProblemBanner } from "../ui/parts";
import { Choice } from "./mappings";

const outcomes: [MappingRunItem["outcome"], string][] = [
  ["matched", "found in Kaltura"],
  ["provisioned", "would get a new Kaltura user"],
  ["conflict", "in conflict: to be decided"],
  ["pending", "would wait for approval"],
  ["unverified", "without a verified e-mail"],
  ["none", "would get no user"],
  ["unchanged", "unchanged"],
];

const underWay = (r?: MappingRun) => r?.state === "queued" || r?.state === "running" || r?.state === "waiting";

/** Follows a run until it is over. */
function useRun(hub: string, first: MappingRun | undefined): [MappingRun | undefined, (r: MappingRun) => void] {
  const [run, setRun] = useState(first);
  useEffect(() => setRun(first), [first?.id]);
  useEffect(() => {
    if (!run || !underWay(run)) return;
    const t = setTimeout(async () => {
      try {
        const now = await call(api.GET("/v1/hubs/{hub}/mapping-runs/{id}", { params: { path: { hub, id: run.id } } }));
        setRun(now);
      } catch {
        setRun({ ...run }); // asked again
      }
    }, 1000);
    return () => clearTimeout(t);
  }, [run]);
  return [run, setRun];
}

function Progress({ hub, run, failed }: { hub: string; run: MappingRun; failed: (p: Problem) => void }) {
  const share = run.total > 0 ? run.done / run.total : 0;
  return (
    <div class="row">
      <progress aria-label="Progress" max={1} value={run.total > 0 ? share : undefined} />
      <span class="small muted">
        {run.state === "waiting" ? "Waiting for Kaltura" : run.total > 0 ? percent(share) : "Beginning"}
      </span>
      <Act
        small
        failed={failed}
        do={() =>
          call(api.DELETE("/v1/hubs/{hub}/jobs/{id}", { params: { path: { hub, id: run.job_id } } })).then(() =>
            announce("Cancelled."),
          )
        }
      >
        Cancel
      </Act>
    </div>
  );
}

/** A merge: how far it is, what came of it, and what can be done about it. */
export function RunProgress({ hub, run: first }: { hub: string; run: MappingRun }) {
  const [run, setRun] = useRun(hub, first);
  const [problem, setProblem] = useState<Problem>();
  if (!run) return null;
  const n = (o: string) => run.counts[o] ?? 0;
  const again = async (what: "undo" | "resume") => {
    setProblem(undefined);
    const path = { hub, id: run.id };
    setRun(
      what === "undo"
        ? await call(api.POST("/v1/hubs/{hub}/mapping-runs/{id}/undo", { params: { path } }))
        : await call(api.POST("/v1/hubs/{hub}/mapping-runs/{id}/resume", { params: { path } })),
    );
  };
  const said = [
    n("moved") && `${count(n("moved"), "entry", "entries")} moved`,
    n("undone") && `${n("undone")} given back`,
    n("kept") && `${n("kept")} left alone, because they have another owner or are gone`,
    n("failed") && `${n("failed")} refused by Kaltura`,
    n("todo") && `${n("todo")} to do`,
  ].filter(Boolean);
  return (
    <div class="stack-s">
      <p role="status">
        <bdi class="wrap">{run.from_user}</bdi> → <bdi class="wrap">{run.to_user}</bdi>
        {run.undoing && ", taken back"}: {said.join(", ") || (underWay(run) ? "beginning" : "nothing to move")}
        {run.state === "cancelled" && ". Cancelled"}
        {run.state === "failed" && ". It could not go on"}. <span class="small muted">{ago(run.created_at)}</span>
      </p>
      {problem && <ProblemBanner problem={problem} />}
      {underWay(run) ? (
        <Progress hub={hub} run={run} failed={setProblem} />
      ) : (
        <div class="row">
          {(run.state !== "done" || n("failed") > 0) && (
            <Act small do={() => again("resume")} failed={setProblem}>
              Go on
            </Act>
          )}
          {n("moved") > 0 && (
            <Act small do={() => again("undo")} failed={setProblem}>
              Take back
            </Act>
          )}
        </div>
      )}
    </div>
  );
}

/** What a change of the rules would do, before it is made. */
export function DryRun({ hub }: { hub: string }) {
  const [rule, setRule] = useState<MappingRule>({});
  const [first, setFirst] = useState<MappingRun>();
  const [run] = useRun(hub, first);
  const [problem, setProblem] = useState<Problem>();
  const [shown, setShown] = useState<MappingRunItem["outcome"]>();
  const begin = async () => {
    setProblem(undefined);
    setShown(undefined);
    setFirst(await call(api.POST("/v1/hubs/{hub}/mappings/dry-run", { params: { path: { hub } }, body: rule })));
  };
  return (
    <details class="card">
      <summary>Try a change of the rules</summary>
      <div class="stack">
        <p class="muted">Shows what would become of everybody. Nothing is changed, here or in Kaltura.</p>
        <div class="fields">
          <Choice
            label="People get a Kaltura user"
            value={rule.mapping_mode ?? ""}
            set={(v) => setRule({ ...rule, mapping_mode: v || undefined })}
            options={[
              ["", "As now"],
              ["on_first_use", "On first use"],
              ["needs_approval", "After an admin's approval"],
              ["off", "Not by themselves"],
            ]}
          />
          <Choice
            label="People are found"
            value={rule.match_by ?? ""}
            set={(v) => setRule({ ...rule, match_by: v || undefined })}
            options={[
              ["", "As now"],
              ["email", "By e-mail"],
              ["user_id", "By user id"],
            ]}
          />
          <Choice
            label="People see"
            value={rule.visibility ?? ""}
            set={(v) => setRule({ ...rule, visibility: v || undefined })}
            options={[
              ["", "As now"],
              ["shared", "The whole account"],
              ["own", "Only their own media"],
            ]}
          />
        </div>
        {problem && <ProblemBanner problem={problem} />}
        <div class="row">
          <Act do={begin} failed={setProblem} disabled={underWay(run)}>
            Try it
          </Act>
        </div>
        {run && underWay(run) && <Progress hub={hub} run={run} failed={setProblem} />}
        <div role="status">
          {run?.state === "failed" && (
            <Banner tone="warn">
              <p>Kaltura did not let us find out. Check the connection, then try again.</p>
            </Banner>
          )}
          {run?.state === "done" && <p>{count(run.total, "person", "people")} looked at:</p>}
        </div>
        {run && !underWay(run) && (
          <ul class="row" aria-label="Outcomes">
            {outcomes
              .filter(([o]) => run.counts[o])
              .map(([o, text]) => (
                <li key={o}>
                  <button
                    type="button"
                    class="btn small"
                    aria-pressed={shown === o}
                    onClick={() => setShown(shown === o ? undefined : o)}
                  >
                    {run.counts[o]} {text}
                  </button>
                </li>
              ))}
          </ul>
        )}
        {run && shown && <Items hub={hub} run={run} outcome={shown} />}
      </div>
    </details>
  );
}

function Items({ hub, run, outcome }: { hub: string; run: MappingRun; outcome: MappingRunItem["outcome"] }) {
  const list = usePages<MappingRunItem, { items: MappingRunItem[]; next?: string }>(
    `${run.id} ${outcome}`,
    (cursor, signal) =>
      call(
        api.GET("/v1/hubs/{hub}/mapping-runs/{id}/items", {
          signal,
          params: { path: { hub, id: run.id }, query: { outcome, cursor, limit: 50 } },
        }),
      ),
  );
  return (
    <div class="stack-s">
      {list.problem && <ProblemBanner problem={list.problem} retry={list.again} />}
      <ul class="stack-s" aria-label="People">
        {list.items?.map((it) => (
          <li key={it.id}>
            <bdi>{it.participant_name || it.participant_email || it.subject}</bdi>
            <div class="small muted wrap">
              {it.detail} {it.platform_user_id}
            </div>
          </li>
        ))}
      </ul>
      {list.hasMore && (
        <div class="row">
          <Act do={list.more}>Load more</Act>
        </div>
      )}
    </div>
  );
}
