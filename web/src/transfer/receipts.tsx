import { useEffect, useState } from "preact/hooks";
import { api, call, type Upload } from "../api";
import { bytes, count, passed, when } from "../format";
import { me } from "../session";
import { Act, CopyButton, ProblemBanner, useLoad } from "../ui/parts";
import { Codes, WorkRow } from "../ui/row";
import { csv, download, receiptOf } from "./report";

const PAGE = 10;
/** Receipts in one file; who needs more asks the REST API. */
const MOST = 2000;

const states: Partial<Record<Upload["state"], [string, string]>> = {
  ingesting: ["Handing over", "accent"],
  processing: ["Being made playable", "accent"],
  ready: ["Ready", "ok"],
  failed: ["Failed", "bad"],
};

async function finished(hub: string, limit: number, cursor?: string) {
  const page = await call(
    api.GET("/v1/hubs/{hub}/uploads", {
      params: {
        path: { hub },
        query: { state: ["ingesting", "processing", "ready", "failed"], limit, cursor },
      },
    }),
  );
  const items = page.items.filter((u) => u.mine && u.finished_at);
  return { items: items.sort((a, b) => b.finished_at!.localeCompare(a.finished_at!)), next: page.next };
}

/** What arrived: size, digest, time and entry, to be kept. `changed` is a count that says when to look again. */
export function Receipts({ hub, hubName, changed }: { hub: string; hubName: string; changed: number }) {
  const [cursor, setCursor] = useState<string>();
  const load = useLoad(() => finished(hub, PAGE, cursor), [hub, cursor]);
  useEffect(() => {
    if (changed > 0) load.again();
  }, [changed]);
  const save = async (as: "csv" | "json") => {
    const all: Upload[] = [];
    let next: string | undefined;
    do {
      const page = await finished(hub, 100, next);
      all.push(...page.items);
      next = page.next;
    } while (next && all.length < MOST);
    const rows = all.map((u) => receiptOf(u, hubName, me.peek()?.email || me.peek()?.name || ""));
    if (as === "csv") download("receipts.csv", "text/csv;charset=utf-8", csv(rows));
    else download("receipts.json", "application/json", `${JSON.stringify(rows, null, 2)}\n`);
  };
  if (load.problem && !load.data) return <ProblemBanner problem={load.problem} retry={load.again} />;
  const items = load.data?.items ?? [];
  if (!load.data || (items.length === 0 && !cursor && !load.data.next)) return null;
  return (
    <section class="card uploads" aria-labelledby="receipts-title">
      <header class="spread">
        <h2 id="receipts-title">Receipts</h2>
        <div class="row">
          <Act small icon="import" do={() => save("csv")}>
            CSV<span class="visually-hidden"> of all receipts</span>
          </Act>
          <Act small icon="import" do={() => save("json")}>
            JSON<span class="visually-hidden"> of all receipts</span>
          </Act>
        </div>
      </header>
      <p class="muted small note">
        Sent by you to <bdi>{hubName}</bdi>. The digest is that of the file as it arrived.
      </p>
      <ul>
        {items.map((u) => (
          <One key={u.id} hub={hub} u={u} />
        ))}
      </ul>
      {(cursor || load.data.next) && (
        <div class="row note">
          {cursor && (
            <button type="button" class="btn small" onClick={() => setCursor(undefined)}>
              Back to the newest
            </button>
          )}
          {load.data.next && (
            <button type="button" class="btn small" onClick={() => setCursor(load.data?.next)}>
              Older receipts
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function One({ hub, u }: { hub: string; u: Upload }) {
  const [word, tone] = states[u.state] ?? [u.state, ""];
  const took = passed(u.created_at, Date.parse(u.finished_at!));
  return (
    <WorkRow
      data={{ "data-receipt": u.id }}
      name={u.name}
      badges={<span class={`badge ${tone}`}>{word}</span>}
      state={`${bytes(u.size)} (${count(u.size, "byte")}) · arrived ${when(u.finished_at!)}, ${took} after its start${u.device ? `, from ${u.device}` : ""}`}
      more={
        <>
          {u.error && (
            <>
              <p class="state bad">
                {u.error.message} {u.error.next_step}
              </p>
              <Codes code={u.error.code} />
            </>
          )}
          {u.sha256 && (
            <p class="state wrap">
              SHA-256 <code>{u.sha256}</code>
            </p>
          )}
        </>
      }
      acts={
        <>
          {u.sha256 && <CopyButton text={u.sha256} label="Copy digest" />}
          {u.entry_id && (
            <a
              class="btn small"
              href={`/hubs/${hub}/library?tab=kaltura&media=${encodeURIComponent(u.entry_id)}`}
              aria-label={`Open the entry of ${u.name}`}
            >
              Open entry
            </a>
          )}
        </>
      }
    />
  );
}
