import { useEffect, useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Transfer, type TransferAccount, type TransferPatch } from "../api";
import { bytes, percent, when } from "../format";
import type { LiveEvent } from "../live";
import { Icon } from "../ui/icons";
import { Act, useLoad } from "../ui/parts";
import { WorkRow } from "../ui/row";
import { mbit } from "./account";
import { lively } from "./preflight";
import { type Speed, speedBody, speedProblem } from "./speed";
import { SpeedFields } from "./speed-fields";
import { pathNames, speedWords, transferWords } from "./words";

/** How often running transfers are looked at; what happens to them is told at once, but not that nothing does. */
const LOOK_MS = 5000;

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
      if (!e.type.startsWith("transfer.")) return;
      const { data } = load;
      if (e.type === "transfer.progress" && data?.items.some((t) => t.id === e.subject))
        load.set({ ...data, items: data.items.map((t) => (t.id === e.subject ? { ...t, ...e.data } : t)) });
      else again.current();
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
  const change = async (body: TransferPatch, told: string) => {
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
  const far = t.size > 0 ? t.received / t.size : 0;
  return (
    <WorkRow
      data={{ "data-transfer": t.id, "data-state": t.state }}
      name={all ? (t.person ?? "An app") : when(t.created_at)}
      badges={
        <>
          {t.device && (
            <span class="muted small">
              from <bdi>{t.device}</bdi>
            </span>
          )}
          {pathNames[t.live.path] && <span class="badge">{pathNames[t.live.path]}</span>}
          {t.first && open && <span class="badge accent">First</span>}
        </>
      }
      state={
        <>
          {open && `${percent(far)} · ${bytes(t.received)} of ${bytes(t.size)} · `}
          {transferWords(t)}
        </>
      }
      more={open && account && <ChangeSpeed t={t} name={name} account={account} change={change} />}
      far={open ? far : undefined}
      farLabel={`Progress of ${name}`}
      acts={
        open && (
          <>
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
          </>
        )
      }
    />
  );
}

/** Policy and rate of a running transfer: in words, and to be changed. */
function ChangeSpeed(p: {
  t: Transfer;
  name: string;
  account: TransferAccount;
  change: (body: TransferPatch, told: string) => Promise<void>;
}) {
  const { t, account } = p;
  const [speed, setSpeed] = useState<Speed>({ policy: t.policy, rate: mbit(t.rate_bps) });
  return (
    <details class="small">
      <summary aria-label={`Speed of ${p.name}`}>{speedWords(t)}</summary>
      <form class="stack-s" onSubmit={(e) => e.preventDefault()}>
        <SpeedFields value={speed} set={setSpeed} account={account} />
        <div class="row">
          <Act
            small
            disabled={!!speedProblem(speed)}
            do={() => {
              const { policy = account.default_policy, rate_bps = 0 } = speedBody(speed);
              return p.change({ policy, rate_bps }, "The speed was changed.");
            }}
          >
            Change speed
          </Act>
        </div>
      </form>
    </details>
  );
}
