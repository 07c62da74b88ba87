import { useEffect, useId, useState } from "preact/hooks";
import { announce } from "../announce";
import { type AuditCheck, type AuditRecord, api, asProblem, call, type Problem } from "../api";
import type { PageProps } from "../app";
import { count, when } from "../format";
import { Choice, useSettled } from "../kaltura/mappings";
import { usePages } from "../library/pages";
import { hub, hubs, rememberHub } from "../session";
import { Act, Banner, CopyButton, Field, Loading, ProblemBanner } from "../ui/parts";
import { SettingsNav } from "../ui/settings-nav";

const areas: [string, string][] = [
  ["", "Everything"],
  ["integration.", "Connection"],
  ["mapping.", "People and Kaltura users"],
  ["library.", "Library"],
  ["upload.", "Uploads"],
  ["member.", "Members"],
  ["client.", "Apps"],
  ["grant.", "Permissions of apps"],
  ["token.", "Access tokens"],
  ["webhook.", "Webhooks"],
  ["spherical.", "360° tags"],
  ["audit.", "This log"],
];

interface Filter {
  action: string;
  actor: string;
  subject: string;
  from: string;
  to: string;
}
const nothing: Filter = { action: "", actor: "", subject: "", from: "", to: "" };

/** The query of a filter; days are the reader's. */
function queryOf(f: Filter) {
  const day = (s: string, plus: number) => {
    const [y, m, d] = s.split("-").map(Number);
    return y && m && d ? new Date(y, m - 1, d + plus).toISOString() : undefined;
  };
  return {
    action: f.action || undefined,
    actor: f.actor.trim() || undefined,
    subject: f.subject.trim() || undefined,
    from: day(f.from, 0),
    to: day(f.to, 1),
  };
}

export default function Audit({ params }: PageProps) {
  const id = params.hub!;
  const h = hubs.value.find((x) => x.id === id);
  useEffect(() => {
    rememberHub(id);
    document.title = `Audit · Hub settings · ${hub.peek()?.name ?? "Isthmus"}`;
  }, [id]);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>{h?.name}</li>
          <li>Hub settings</li>
          <li>Audit</li>
        </ol>
      </nav>
      <SettingsNav hub={id} />
      <h1>Audit</h1>
      {h?.role === "admin" ? (
        <>
          <p class="muted">
            Who did what in this hub, and when. The records form a chain: each holds the fingerprint of the one before.
          </p>
          <Verification hub={id} />
          <Records hub={id} />
        </>
      ) : (
        <Banner tone="info">
          <p>Only admins of the hub can see its audit log. Ask an admin of {h?.name}.</p>
        </Banner>
      )}
    </div>
  );
}

/** Checks the chain on opening the page, and says loudly when it does not hold. */
function Verification({ hub }: { hub: string }) {
  const [check, setCheck] = useState<AuditCheck>();
  const [looked, setLooked] = useState(0);
  const [problem, setProblem] = useState<Problem>();
  const run = async () => {
    setProblem(undefined);
    let checkpoint: string | undefined;
    let n = 0;
    for (;;) {
      const c: AuditCheck = await call(
        api.GET("/v1/hubs/{hub}/audit/verify", { params: { path: { hub }, query: { checkpoint } } }),
      );
      n += c.records;
      setLooked(n);
      if (c.complete || !c.intact) {
        setCheck(c);
        return c;
      }
      checkpoint = c.checkpoint;
    }
  };
  useEffect(() => {
    run().catch((e) => setProblem(asProblem(e)));
  }, [hub]);
  if (problem) return <ProblemBanner problem={problem} retry={() => run().catch((e) => setProblem(asProblem(e)))} />;
  if (!check) return <Loading what="Checking the log" />;
  if (check.broken) {
    return (
      <Banner tone="error">
        <p>
          <strong>This log was tampered with.</strong> {check.broken.text}
        </p>
        <p>
          Records from there on prove nothing. Tell whoever runs this server: they should keep the database as it is and
          compare it with a backup and with earlier exports.
        </p>
      </Banner>
    );
  }
  return (
    <Banner tone="good">
      <p>
        <strong>The log is as it was written</strong>: {count(looked, "record")} checked, {when(check.at)}.
        {check.trimmed_to > 0 &&
          ` Older records, up to number ${check.trimmed_to}, were deleted as their time was over.`}
      </p>
      <details>
        <summary>What this proves, and what not</summary>
        <div class="stack-s">
          <p>
            A record that was changed, deleted, inserted or moved is found, and so is an end that was cut off, unless
            somebody has the server's key. A database that was put back as a whole to an earlier state looks right by
            itself: against that, keep this checkpoint elsewhere and have it checked later.
          </p>
          <p class="small">
            <code class="wrap">{check.checkpoint}</code>
          </p>
          <div class="row">
            <CopyButton text={check.checkpoint} label="Copy the checkpoint" />
            <Act small do={() => run().then(() => announce("Checked again."))} failed={setProblem}>
              Check again
            </Act>
          </div>
        </div>
      </details>
    </Banner>
  );
}

function Records({ hub }: { hub: string }) {
  const [filter, setFilter] = useState(nothing);
  const asked = useSettled(filter);
  const list = usePages<AuditRecord, { items: AuditRecord[]; next?: string }>(
    `${hub} ${JSON.stringify(asked)}`,
    (cursor, signal) =>
      call(
        api.GET("/v1/hubs/{hub}/audit", {
          signal,
          params: { path: { hub }, query: { ...queryOf(asked), cursor, limit: 50 } },
        }),
      ),
  );
  const set = (part: Partial<Filter>) => setFilter({ ...filter, ...part });
  const filtered = JSON.stringify(asked) !== JSON.stringify(nothing);
  const file = (format: string) =>
    `/v1/hubs/${hub}/audit/export?${new URLSearchParams([
      ["format", format],
      ...Object.entries(queryOf(filter)).filter((e): e is [string, string] => !!e[1]),
    ])}`;
  useEffect(() => {
    if (list.items && filtered) announce(count(list.items.length, "record"));
  }, [list.items?.length, filtered]);
  return (
    <section class="stack" aria-label="Records">
      <search class="fields">
        <Choice label="What" value={filter.action} set={(action) => set({ action })} options={areas} />
        <Field label="Who (name, e-mail or id)" value={filter.actor} set={(actor) => set({ actor })} maxLength={100} />
        <Field label="To what (id)" value={filter.subject} set={(subject) => set({ subject })} maxLength={100} />
        <Day label="From" value={filter.from} set={(from) => set({ from })} />
        <Day label="Until" value={filter.to} set={(to) => set({ to })} />
      </search>
      {list.problem && <ProblemBanner problem={list.problem} retry={list.again} />}
      {!list.items && !list.problem && <Loading />}
      {list.items?.length === 0 && <p class="muted">{filtered ? "Nothing like that happened." : "Nothing yet."}</p>}
      <ol class="stack-s" aria-label="What happened, newest first">
        {list.items?.map((r) => (
          <Line key={r.id} r={r} only={set} />
        ))}
      </ol>
      <div class="row">
        {list.hasMore && <Act do={list.more}>Load more</Act>}
        <a class="btn small" href={file("csv")} download="audit.csv">
          Export as CSV
        </a>
        <a class="btn small" href={file("jsonl")} download="audit.jsonl">
          Export as JSON lines
        </a>
      </div>
    </section>
  );
}

const kinds: Record<AuditRecord["actor"]["kind"], string> = {
  person: "Somebody who is no longer here",
  client: "An app",
  operator: "The operator",
  system: "Isthmus",
};

function Line({ r, only }: { r: AuditRecord; only: (f: Partial<Filter>) => void }) {
  const facts = Object.entries(r.data);
  const who = r.actor.name || r.actor.email || kinds[r.actor.kind];
  return (
    <li class="card stack-s">
      <p>
        <strong>
          <bdi>{who}</bdi>
        </strong>{" "}
        <span class="wrap">{r.text}.</span>
      </p>
      <details>
        <summary class="small muted">
          <time dateTime={r.at}>{when(r.at)}</time>
          <span class="visually-hidden">: details of record {r.seq}</span>
        </summary>
        <dl class="facts small">
          <Fact name="Record">{r.seq}</Fact>
          <Fact name="Action">{r.action}</Fact>
          {r.actor.id && (
            <Fact name="Who">
              {r.actor.id}{" "}
              <button type="button" class="btn small" onClick={() => only({ actor: r.actor.id })}>
                Only these<span class="visually-hidden"> of {who}</span>
              </button>
            </Fact>
          )}
          {r.client_id && <Fact name="Through the app">{r.client_id}</Fact>}
          <Fact name="To what">
            {r.subject}{" "}
            <button type="button" class="btn small" onClick={() => only({ subject: r.subject })}>
              Only these<span class="visually-hidden"> about {r.subject}</span>
            </button>
          </Fact>
          {r.request_id && <Fact name="Request">{r.request_id}</Fact>}
          {facts.map(([k, v]) => (
            <Fact key={k} name={k.replaceAll("_", " ")}>
              {typeof v === "object" ? JSON.stringify(v) : String(v)}
            </Fact>
          ))}
          <Fact name="Fingerprint">
            <code>{r.hash}</code>
          </Fact>
        </dl>
      </details>
    </li>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Day({ label, value, set }: { label: string; value: string; set: (v: string) => void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input class="input" id={id} type="date" value={value} onInput={(e) => set(e.currentTarget.value)} />
    </div>
  );
}
