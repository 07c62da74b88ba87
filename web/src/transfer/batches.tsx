import { useEffect, useRef } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Transfer, type TransferAccount, type TransferPolicy } from "../api";
import { bytes, percent, when } from "../format";
import type { LiveEvent } from "../live";
import { Icon } from "../ui/icons";
import { Act, useLoad } from "../ui/parts";
import { lively } from "./preflight";
import { pathNames, policyNames, transferWords } from "./words";

/** How often running transfers are looked at; what changes their number is told at once. */
const LOOK_MS = 2000;

/** Transfers of the caller, or of the whole hub for its admins, kept fresh while some are open. */
export function useTransfers(hub: string, all: boolean) {
  const load = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/transfers", { params: { path: { hub }, query: { all, limit: 50 } } })),
    [hub, all],
  );
  const again = useRef(load.again);
  again.current = load.again;
  const open = load.data?.items.some((t) => t.state === "open") ?? false;
  useEffect(() => {
    if (!open) return;
    const t = setInterval(() => document.visibilityState === "visible" && again.current(), LOOK_MS);
    return () => clearInterval(t);
  }, [open]);
  return {
    items: load.data?.items ?? [],
    problem: load.problem,
    loaded: !!load.data,
    again: load.again,
    hear: (e: LiveEvent) => {
      if (e.type.startsWith("transfer.")) again.current();
    },
  };
}
export type Transfers = ReturnType<typeof useTransfers>;

/** One line per transfer: who, how much, how fast, by what it is held back. */
export function TransferList({
  hub,
  list,
  account,
  all,
}: {
  hub: string;
  list: Transfers;
  account?: TransferAccount;
  all?: boolean;
}) {
  const items = list.items.filter((t) => lively(t, Date.now()));
  return (
    <ul>
      {items.map((t) => (
        <One key={t.id} hub={hub} t={t} list={list} account={account} all={all} />
      ))}
    </ul>
  );
}

function One({
  hub,
  t,
  list,
  account,
  all,
}: {
  hub: string;
  t: Transfer;
  list: Transfers;
  account?: TransferAccount;
  all?: boolean;
}) {
  const path = { hub, id: t.id };
  const name = all ? `the transfer of ${t.person ?? "an app"}` : `the transfer of ${when(t.created_at)}`;
  const change = async (body: { first?: boolean; policy?: TransferPolicy }, told: string) => {
    await call(
      api.PATCH("/v1/hubs/{hub}/transfers/{id}", {
        params: { path },
        headers: { "Content-Type": "application/merge-patch+json" },
        body,
      }),
    );
    say(told);
    list.again();
  };
  const open = t.state === "open";
  return (
    <li class="upload" data-transfer={t.id} data-state={t.state}>
      <div class="grow">
        <p class="file row">
          <bdi>{all ? (t.person ?? "An app") : when(t.created_at)}</bdi>
          {t.device && (
            <span class="muted small">
              from <bdi>{t.device}</bdi>
            </span>
          )}
          {pathNames[t.live.path] && <span class="badge">{pathNames[t.live.path]}</span>}
          {t.first && open && <span class="badge accent">First</span>}
        </p>
        <p class="state tabular">
          {open && `${percent(t.size > 0 ? t.received / t.size : 0)} · ${bytes(t.received)} of ${bytes(t.size)} · `}
          {transferWords(t)}
        </p>
      </div>
      {open && (
        <div class="acts">
          {account && t.live.path === "quic" && account.policies.length > 1 && (
            <select
              class="chip"
              aria-label={`Policy of ${name}`}
              value={t.policy}
              onChange={(e) => {
                const policy = e.currentTarget.value as TransferPolicy;
                void change({ policy }, `The policy is now ${policyNames[policy]}.`).catch((x) =>
                  say(String(x.message)),
                );
              }}
            >
              {[...new Set([...account.policies, t.policy])].map((p) => (
                <option key={p} value={p}>
                  {policyNames[p]}
                </option>
              ))}
            </select>
          )}
          {t.first ? (
            <Act
              small
              aria-label={`No longer first: ${name}`}
              do={() => change({ first: false }, "It takes its turn again.")}
            >
              No longer first
            </Act>
          ) : (
            <Act small aria-label={`Send first: ${name}`} do={() => change({ first: true }, "It is sent first.")}>
              <Icon name="first" size={16} /> Send first
            </Act>
          )}
          <Act
            small
            kind="danger"
            aria-label={`Cancel ${name}`}
            do={async () => {
              await call(api.DELETE("/v1/hubs/{hub}/transfers/{id}", { params: { path } }));
              say("The transfer was cancelled.");
              list.again();
            }}
          >
            Cancel
          </Act>
        </div>
      )}
      {open && (
        <progress class="bar" max={1} value={t.size > 0 ? t.received / t.size : 0} aria-label={`Progress of ${name}`} />
      )}
    </li>
  );
}
