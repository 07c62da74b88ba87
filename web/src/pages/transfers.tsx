import "../styles/library.css";
import "../styles/transfers.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { api, call } from "../api";
import type { PageProps } from "../app";
import { follow } from "../live";
import { hubs, rememberHub } from "../session";
import { AgentCard } from "../transfer/agent-card";
import { batch } from "../transfer/batch";
import { TransferList, useTransfers } from "../transfer/batches";
import { Files, Unfinished } from "../transfer/files";
import { Choose, Target, useOnline } from "../transfer/head";
import { lively } from "../transfer/preflight";
import { Preflight } from "../transfer/preflight-table";
import { Receipts } from "../transfer/receipts";
import { Banner, ProblemBanner, useLoad } from "../ui/parts";
import { useTab } from "../ui/tab";
import { queueOf } from "../upload/queue";

/** Sends files into a hub: choose, check, start, watch, keep the receipt. */
export default function TransfersPage({ params }: PageProps) {
  const id = params.hub!;
  const h = hubs.value.find((x) => x.id === id)!;
  const queue = queueOf(id);
  const files = useRef<HTMLInputElement>(null);
  const below = useRef<HTMLDivElement>(null);
  const [changed, setChanged] = useState(0);
  const mine = useLoad(() => call(api.GET("/v1/me/integrations")), [id]);
  const account = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/transfer-account", { params: { path: { hub: id } } })),
    [id],
  );
  const transfers = useTransfers(id, false);
  const online = useOnline();
  const state = mine.data?.items.find((i) => i.hub.id === id);
  const on = state ? state.state === "connected" : !mine.problem;

  batch.use(queue);
  const hear = useRef(transfers.hear);
  hear.current = transfers.hear;
  useEffect(() => {
    rememberHub(id);
    void queue.load();
    return follow(
      id,
      (e) => {
        queue.hear(e);
        hear.current(e);
        if (/^upload\.(finished|entry_created|ready|failed)$/.test(e.type)) setChanged((n) => n + 1);
        if (e.type.startsWith("integration.") || e.type.startsWith("mapping.")) mine.again();
        if (e.type.startsWith("transfer_account.")) account.again();
      },
      () => {
        void queue.load();
        transfers.again();
        setChanged((n) => n + 1);
      },
    );
  }, [id]);

  useEffect(() => {
    batch.free.value = account.data?.quota_free_bytes;
  }, [account.data]);

  const all = queue.total.value;
  useTab(`Transfers · ${h.name}`, all.left > 0 && all.size > 0 ? all.sent / all.size : undefined);

  const live = transfers.items.filter((t) => lively(t, Date.now()));
  return (
    <div class="stack">
      <h1>Transfers</h1>
      <Target hub={h} account={account.data} busy={queue.busy.value} />
      {!online && (
        <Banner tone="warn">
          <p>
            <strong>You are offline.</strong> Nothing is lost: what has arrived is kept, and the rest goes on by itself
            as soon as the connection is back.
          </p>
        </Banner>
      )}
      {!on && state && (
        <Banner tone="warn">
          <p>
            <strong>Nothing can be sent to this hub now.</strong> {state.what_i_see} {state.next_step}
          </p>
        </Banner>
      )}
      {on && state?.health && state.health !== "ok" && (
        <Banner tone="warn">
          <p>
            <strong>The connection to Kaltura has a problem.</strong> {state.health_text} Files may be sent: they wait
            here until it is solved.
          </p>
        </Banner>
      )}
      <Choose on={on} files={files} />
      <Preflight
        hubName={h.name}
        on={on}
        account={account.data}
        started={() => {
          rememberTarget(id);
          transfers.again();
          account.again();
          below.current?.focus();
        }}
      />
      <div ref={below} tabIndex={-1} class="stack bare-focus" aria-label="Files that are being sent" role="region">
        {queue.loadProblem.value && <ProblemBanner problem={queue.loadProblem.value} retry={() => void queue.load()} />}
        <Files queue={queue} mine={live} cap={account.data?.cap_now_bps ?? 0} />
        <Unfinished queue={queue} choose={() => files.current?.click()} />
        {transfers.problem && !transfers.loaded && (
          <ProblemBanner problem={transfers.problem} retry={transfers.again} />
        )}
        {live.length > 0 && (
          <section class="card uploads" aria-labelledby="transfers-title">
            <header>
              <h2 id="transfers-title">Your transfers, from any device</h2>
            </header>
            <TransferList hub={id} list={transfers} account={account.data} />
          </section>
        )}
        <AgentCard hub={h} account={account.data} started={() => rememberTarget(id)} />
        <Receipts hub={id} hubName={h.name} changed={changed + queue.arrived.value} />
      </div>
    </div>
  );
}

function rememberTarget(id: string): void {
  try {
    localStorage.setItem("transfer-hub", id);
  } catch {
    // Private windows may refuse; then there is no warning the next time.
  }
}
