import { useEffect, useId, useRef, useState } from "preact/hooks";
import { announce, say } from "../announce";
import { api, call, type Job, type Problem, type Untagged360, type UntaggedEntry } from "../api";
import { ago, count, percent } from "../format";
import { Thumb } from "../library/card";
import { usePages } from "../library/pages";
import { Act, Banner, Loading, ProblemBanner, useLoad } from "../ui/parts";

const base = "/v1/hubs/{hub}/integrations/kaltura/untagged-360";
/** As many as one request may name. */
const most = 100;
const things = (n: number) => count(n, "entry", "entries");
const ended = (j: Job) => ["done", "failed", "cancelled"].includes(j.state);

/** A press of "Mark as 360" or "Undo", from its beginning to its outcome. */
interface Run {
  job: Job;
  undo: boolean;
  total: number;
  refused?: UntaggedEntry[]; // once it has ended
}

/** Entries that look spherical and lack the tag: found when the hub allows it, tagged only by a person. */
export function UntaggedCard({ hub }: { hub: string }) {
  const path = { hub };
  const load = useLoad(() => call(api.GET(base, { params: { path } })), [hub]);
  const [problem, setProblem] = useState<Problem>();
  const state = load.data;
  const searching = state?.search.state === "waiting" || state?.search.state === "running";
  const failed = (p: Problem) => setProblem(p);
  useEffect(() => {
    if (!searching) return;
    const t = setInterval(load.again, 1500);
    return () => clearInterval(t);
  }, [searching]);
  const allow = async (allowed: boolean) => {
    setProblem(undefined);
    load.set(
      await call(
        api.PATCH(base, {
          params: { path, header: { "If-Match": state?.etag } },
          headers: { "Content-Type": "application/merge-patch+json" },
          body: { allowed },
        }),
      ),
    );
    announce(allowed ? "The search is on and has begun." : "The search is off.");
  };
  const search = async () => {
    setProblem(undefined);
    load.set(await call(api.POST(`${base}/search`, { params: { path } })));
    announce("The account is being searched for 360 media.");
  };
  return (
    <section class="card stack" aria-labelledby="untagged-title">
      <h2 id="untagged-title">360° media without the tag</h2>
      <p class="muted">
        Media that is spherical but lacks the tag 360 in Kaltura is shown flat. Once a day we can look for entries that
        seem to be spherical. Nothing is tagged until you say so, and it can be undone.
      </p>
      {(problem ?? load.problem) && <ProblemBanner problem={(problem ?? load.problem)!} retry={load.again} />}
      {!state && !load.problem && <Loading />}
      {state && (
        <>
          <Switch on={state.allowed} turn={allow} failed={failed} />
          {state.allowed && (
            <>
              <div class="spread">
                <div class="grow stack-s">
                  <SearchText s={state.search} />
                </div>
                <Act do={search} failed={failed} disabled={searching && !state.search.error}>
                  Look for 360 media
                </Act>
              </div>
              <Finds hub={hub} searched={state.search.ended_at ?? ""} failed={setProblem} />
            </>
          )}
        </>
      )}
    </section>
  );
}

function Switch(p: { on: boolean; turn: (on: boolean) => Promise<void>; failed: (p: Problem) => void }) {
  const [busy, setBusy] = useState(false);
  return (
    <label class="tick">
      <input
        type="checkbox"
        checked={p.on}
        aria-disabled={busy || undefined}
        onChange={async (e) => {
          const box = e.currentTarget;
          const on = box.checked;
          if (busy) return;
          setBusy(true);
          try {
            await p.turn(on);
          } catch (problem) {
            box.checked = p.on;
            p.failed(problem as Problem);
          } finally {
            setBusy(false);
          }
        }}
      />
      <span>Search this Kaltura account for 360° media without the tag</span>
    </label>
  );
}

function SearchText({ s }: { s: Untagged360["search"] }) {
  const waits = s.state === "waiting" && s.error;
  return (
    <>
      <div role="status">
        {s.state === "never" && <p>Not searched yet.</p>}
        {s.error && (
          <p>
            <strong>{s.error.message}</strong> {waits ? "We try again by ourselves." : s.error.next_step}
          </p>
        )}
        {s.ended_at && (
          <p>
            Searched {ago(s.ended_at)}: {things(s.looked)} looked at, {s.found > 0 ? `${s.found} found` : "nothing new"}
            .
          </p>
        )}
      </div>
      {!s.ended_at && s.state !== "never" && !waits && (
        // It counts: read out, it would never stop.
        <p class="row muted">
          <span class="spin" /> Searching{s.looked > 0 && `: ${things(s.looked)} looked at`}…
        </p>
      )}
    </>
  );
}

type Shelf = "found" | "marked" | "dismissed";
const shelves: Record<Shelf, { name: string; states: UntaggedEntry["state"][]; empty: string }> = {
  found: { name: "Found", states: ["offered", "marking"], empty: "Nothing that looks spherical lacks the tag." },
  marked: { name: "Marked", states: ["marked", "undoing"], empty: "Nothing was marked here." },
  dismissed: { name: "Not 360", states: ["dismissed"], empty: "Nothing was put aside." },
};
const isBusy = (c: UntaggedEntry) => c.state === "marking" || c.state === "undoing";

/** What was found, by what became of it, with what can be done about it. */
function Finds({ hub, searched, failed }: { hub: string; searched: string; failed: (p?: Problem) => void }) {
  const path = { hub };
  const [shelf, setShelf] = useState<Shelf>("found");
  const [picked, setPicked] = useState<Set<string>>(new Set());
  const [run, setRun] = useState<Run>();
  const outcome = useRef<HTMLDivElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const list = usePages<UntaggedEntry, { items: UntaggedEntry[]; next?: string }>(`${hub} ${shelf}`, (cursor, signal) =>
    call(
      api.GET(`${base}/entries`, {
        signal,
        params: { path, query: { cursor, limit: 50, state: shelves[shelf].states } },
      }),
    ),
  );
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) void list.again();
    first.current = false;
  }, [searched]);
  const items = list.items ?? [];
  const free = items.filter((c) => !isBusy(c));
  const chosen = free.filter((c) => picked.has(c.id)).map((c) => c.id);
  const running = run && !ended(run.job);

  // A run that was begun before this page was loaded ends too.
  const strays = !running && items.some(isBusy);
  useEffect(() => {
    if (!strays) return;
    const t = setInterval(list.again, 2000);
    return () => clearInterval(t);
  }, [strays]);

  useEffect(() => {
    if (!run || ended(run.job)) return;
    let stale = false;
    const look = async () => {
      const job = await call(api.GET("/v1/hubs/{hub}/jobs/{id}", { params: { path: { hub, id: run.job.id } } }));
      if (stale) return;
      if (!ended(job)) return setRun({ ...run, job });
      const all = await call(api.GET(`${base}/entries`, { params: { path, query: { job: job.id, limit: 200 } } }));
      if (stale) return;
      const over = { ...run, job, refused: all.items.filter((c) => c.error) };
      setRun(over);
      announce(words(over).join(" "));
      void list.again();
    };
    const t = setTimeout(() => look().catch(() => !stale && setRun({ ...run })), 700); // asks again
    return () => {
      stale = true;
      clearTimeout(t);
    };
  }, [run]);

  const begin = async (undo: boolean, body: { ids?: string[]; job?: string }) => {
    failed(undefined);
    const r = await call(
      undo
        ? api.POST(`${base}/undo`, { params: { path }, body })
        : api.POST(`${base}/mark`, { params: { path }, body: { ids: body.ids ?? [] } }),
    );
    setRun({ job: r.job, undo, total: r.accepted.length });
    setPicked((p) => new Set([...p].filter((id) => !r.accepted.includes(id))));
    outcome.current?.focus(); // now: later it would take the keyboard from who has gone on
    await list.again();
  };
  const dismiss = async (c: UntaggedEntry, dismissed: boolean) => {
    failed(undefined);
    await call(api.POST(`${base}/dismiss`, { params: { path }, body: { ids: [c.id], dismissed } }));
    list.remove(c.id);
    say(dismissed ? `${c.name} is not offered again.` : `${c.name} is offered again.`);
    heading.current?.focus();
  };
  return (
    <>
      <div ref={outcome} tabIndex={-1} role="group" aria-label="Result" class="quiet">
        {run && (
          <Outcome
            run={run}
            undo={(job) => begin(true, { job })}
            stop={async () => {
              const at = { path: { hub, id: run.job.id } };
              const job = await call(api.DELETE("/v1/hubs/{hub}/jobs/{id}", { params: at }));
              setRun({ ...run, job });
              await list.again();
            }}
            failed={failed}
          />
        )}
      </div>
      <div class="spread">
        <h3 ref={heading} tabIndex={-1} class="quiet">
          Entries
        </h3>
        <fieldset class="chips">
          <legend class="visually-hidden">Show</legend>
          {(Object.keys(shelves) as Shelf[]).map((s) => (
            <button
              key={s}
              type="button"
              class="chip"
              aria-pressed={s === shelf}
              onClick={() => {
                setShelf(s);
                setPicked(new Set());
              }}
            >
              {shelves[s].name}
            </button>
          ))}
        </fieldset>
      </div>
      {list.problem && <ProblemBanner problem={list.problem} retry={list.again} />}
      {!list.items && !list.problem && <Loading />}
      {list.items && items.length === 0 && <p class="muted">{shelves[shelf].empty}</p>}
      {free.length > 0 && shelf !== "dismissed" && (
        <div class="spread">
          <SelectAll free={free} chosen={chosen.length} set={(ids) => setPicked(new Set(ids))} />
          <Act
            kind="primary"
            disabled={chosen.length === 0 || running}
            failed={failed}
            do={() => begin(shelf === "marked", { ids: chosen.slice(0, most) })}
          >
            {shelf === "found" ? "Mark as 360" : "Undo"}
            {chosen.length > 0 && ` (${Math.min(chosen.length, most)})`}
          </Act>
        </div>
      )}
      {items.length > 0 && (
        <ul class="finds" aria-label={`${shelves[shelf].name}: entries`}>
          {items.map((c) => (
            <Row
              key={c.id}
              c={c}
              picked={shelf === "dismissed" ? undefined : picked.has(c.id)}
              pick={(on) => setPicked((p) => new Set(on ? [...p, c.id] : [...p].filter((id) => id !== c.id)))}
            >
              {shelf === "found" && (
                <>
                  <Act small disabled={running} do={() => begin(false, { ids: [c.id] })} failed={failed}>
                    Mark as 360 <span class="visually-hidden">: {c.name}</span>
                  </Act>
                  <Act small disabled={running} do={() => dismiss(c, true)} failed={failed}>
                    Not 360 <span class="visually-hidden">: {c.name}</span>
                  </Act>
                </>
              )}
              {shelf === "marked" && (
                <Act small disabled={running} do={() => begin(true, { ids: [c.id] })} failed={failed}>
                  Undo <span class="visually-hidden">: {c.name}</span>
                </Act>
              )}
              {shelf === "dismissed" && (
                <Act small do={() => dismiss(c, false)} failed={failed}>
                  Offer again <span class="visually-hidden">: {c.name}</span>
                </Act>
              )}
            </Row>
          ))}
        </ul>
      )}
      {list.hasMore && (
        <div class="row">
          <Act do={list.more}>Load more</Act>
        </div>
      )}
    </>
  );
}

function SelectAll(p: { free: UntaggedEntry[]; chosen: number; set: (ids: string[]) => void }) {
  const all = p.chosen === p.free.length;
  return (
    <label class="tick">
      <input
        type="checkbox"
        checked={all}
        ref={(box) => {
          if (box) box.indeterminate = p.chosen > 0 && !all;
        }}
        onChange={(e) => p.set(e.currentTarget.checked ? p.free.map((c) => c.id) : [])}
      />
      <span>Select all {p.free.length > 1 && `(${p.free.length} shown)`}</span>
    </label>
  );
}

function Row(p: {
  c: UntaggedEntry;
  picked?: boolean;
  pick: (on: boolean) => void;
  children: preact.ComponentChildren;
}) {
  const { c } = p;
  const id = useId();
  return (
    <li data-entry={c.entry_id}>
      {p.picked !== undefined && (
        <span class="tick">
          <input
            type="checkbox"
            aria-labelledby={id}
            checked={p.picked && !isBusy(c)}
            disabled={isBusy(c)}
            onChange={(e) => p.pick(e.currentTarget.checked)}
          />
        </span>
      )}
      <Thumb src={c.thumbnail_url} type={c.type} is360={c.state === "marked"} />
      <div class="stack-s">
        <p>
          <strong id={id}>
            <bdi>{c.name}</bdi>
          </strong>{" "}
          {c.likely && c.state === "offered" && <span class="badge accent">Likely</span>}
        </p>
        <ul class="small muted">
          {c.evidence.map((e) => (
            <li key={e}>{e}</li>
          ))}
        </ul>
        {c.error && (
          <p class="small refusal">
            <strong>{c.error.message}</strong> {c.error.next_step}
          </p>
        )}
        {isBusy(c) ? (
          <p class="row small muted">
            <span class="spin" /> {c.state === "marking" ? "Being marked" : "Being undone"}…
          </p>
        ) : (
          <div class="row">{p.children}</div>
        )}
      </div>
    </li>
  );
}

function Outcome(p: {
  run: Run;
  undo: (job: string) => Promise<void>;
  stop: () => Promise<void>;
  failed: (p: Problem) => void;
}) {
  const { run } = p;
  const { job } = run;
  if (!ended(job)) {
    return (
      <Banner
        tone="info"
        action={
          <Act small do={p.stop} failed={p.failed}>
            Stop
          </Act>
        }
      >
        <p>
          {job.state === "waiting"
            ? "Kaltura does not answer. It goes on by itself."
            : `${run.undo ? "Taking the tag back" : "Marking"}: ${things(run.total)}, ${percent(job.progress)}.`}
        </p>
      </Banner>
    );
  }
  const [what, more] = words(run);
  const done = run.total - (run.refused?.length ?? 0);
  return (
    <Banner
      tone={more ? "warn" : "good"}
      action={
        job.state === "done" &&
        done > 0 &&
        !run.undo && (
          <Act small do={() => p.undo(job.id)} failed={p.failed}>
            {done === 1 ? "Undo" : `Undo all ${done}`}
          </Act>
        )
      }
    >
      <p>
        <strong>{what}</strong> {more}
      </p>
    </Banner>
  );
}

/** What became of a run: what was done, and what was not. */
function words({ job, undo, total, refused }: Run): [string, string] {
  if (job.state !== "done") {
    const why = job.state === "cancelled" ? "Stopped." : (job.error?.message ?? "Not finished.");
    return [why, "What was not reached is as it was."];
  }
  const not = refused?.length ?? 0;
  const done = total - not;
  const did = undo
    ? `The tag was taken back from ${things(done)}.`
    : `${things(done)} ${done === 1 ? "is" : "are"} marked as 360.`;
  return [did, not > 0 ? `${things(not)} could not be changed; ${not === 1 ? "it says" : "each says"} why.` : ""];
}
