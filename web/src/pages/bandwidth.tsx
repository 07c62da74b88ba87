import "../styles/library.css";
import "../styles/transfers.css";
import { useEffect, useRef } from "preact/hooks";
import { api, call, type TransferAccount } from "../api";
import type { PageProps } from "../app";
import { bits } from "../format";
import { follow } from "../live";
import { hubs, rememberHub } from "../session";
import { AccountForm } from "../transfer/account-form";
import { TransferList, useTransfers } from "../transfer/batches";
import { lively } from "../transfer/preflight";
import { Loading, ProblemBanner, useLoad } from "../ui/parts";
import { SettingsNav } from "../ui/settings-nav";

/** Hub settings → Bandwidth: the hub's transfer account, and what runs now. */
export default function Bandwidth({ params }: PageProps) {
  const id = params.hub!;
  const h = hubs.value.find((x) => x.id === id);
  useEffect(() => {
    rememberHub(id);
    document.title = `Bandwidth · Hub settings · ${h?.name ?? "Isthmus"}`;
  }, [id]);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>{h?.name}</li>
          <li>Hub settings</li>
          <li>Bandwidth</li>
        </ol>
      </nav>
      <SettingsNav hub={id} />
      <h1>Bandwidth</h1>
      {h?.role === "admin" ? (
        <Settings hub={id} />
      ) : (
        <div class="card stack-s">
          <h2>Only admins of the hub can change its bandwidth</h2>
          <p class="muted">
            What holds for you now is shown on <a href={`/hubs/${id}/transfers`}>Transfers</a>.
          </p>
        </div>
      )}
    </div>
  );
}

function Settings({ hub }: { hub: string }) {
  const load = useLoad(() => call(api.GET("/v1/hubs/{hub}/transfer-account", { params: { path: { hub } } })), [hub]);
  if (load.problem && !load.data) return <ProblemBanner problem={load.problem} retry={load.again} />;
  if (!load.data) return <Loading />;
  return (
    <>
      <p class="muted">
        How much of the line the hub's transfers may take, and how they share it. Transfers that run follow within two
        seconds.
      </p>
      <AccountForm hub={hub} account={load.data} changed={load.set} />
      <Running hub={hub} account={load.data} />
    </>
  );
}

function Running({ hub, account }: { hub: string; account: TransferAccount }) {
  const list = useTransfers(hub, true);
  const hear = useRef(list.hear);
  hear.current = list.hear;
  useEffect(() => follow(hub, (e) => hear.current(e), list.again), [hub]);
  const live = list.items.filter((t) => lively(t, Date.now()));
  const rate = live.reduce((n, t) => n + t.live.rate_bps, 0);
  return (
    <section class="card uploads" aria-labelledby="running-title">
      <header class="spread">
        <h2 id="running-title">Transfers of the hub</h2>
        {live.length > 0 && (
          <span class="muted small tabular">
            Together {bits(rate)}
            {account.cap_now_bps > 0 && ` of ${bits(account.cap_now_bps)}`}
          </span>
        )}
      </header>
      {list.problem && !list.loaded ? (
        <ProblemBanner problem={list.problem} retry={list.again} />
      ) : live.length === 0 ? (
        <p class="muted note">{list.loaded ? "Nobody is sending anything now." : "Looking…"}</p>
      ) : (
        <TransferList hub={hub} list={list} account={account} all />
      )}
    </section>
  );
}
