import { useId, useMemo, useState } from "preact/hooks";
import { say } from "../announce";
import {
  api,
  asProblem,
  call,
  type Problem,
  type TransferAccount,
  type TransferAccountPatch,
  type TransferPolicy,
} from "../api";
import { Icon } from "../ui/icons";
import { Act, Banner, Field, ProblemBanner } from "../ui/parts";
import {
  type AccountProblems,
  accountChanges,
  accountDraft,
  accountProblems,
  checkAccount,
  differences,
  type HoursDraft,
  newHours,
  type Weights,
  withChanges,
} from "./account";
import { capLater, capNow, type Day, dayNames, days, policyNames, policyWords } from "./words";

const policies: TransferPolicy[] = ["fixed", "high", "fair", "low"];
const who: [keyof Weights, string][] = [
  ["admin", "Admins"],
  ["content_admin", "Content admins"],
  ["participant", "Participants"],
  ["app", "Apps"],
];

function zones(own: string): string[] {
  const all = Intl.supportedValuesOf?.("timeZone") ?? [];
  return [...new Set(["UTC", own, ...all])].sort();
}

/** The hub's cap, hours, policies and weights. */
export function AccountForm({
  hub,
  account,
  changed,
}: {
  hub: string;
  account: TransferAccount;
  changed: (a: TransferAccount) => void;
}) {
  const id = useId();
  const [d, setDraft] = useState(() => accountDraft(account));
  const [problems, setProblems] = useState<AccountProblems>({});
  const [problem, setProblem] = useState<Problem>();
  // What this person changed and somebody else's account, when that one was saved meanwhile.
  const [clash, setClash] = useState<{ mine: TransferAccountPatch }>();
  // Hundreds of them, which need not be compared at each key that is pressed.
  const zoneOptions = useMemo(
    () =>
      zones(account.time_zone).map((z) => (
        <option key={z} value={z}>
          {z}
        </option>
      )),
    [account.time_zone],
  );
  const set = (change: Partial<typeof d>) => {
    setDraft({ ...d, ...change });
    setProblems({});
  };
  const hours = (h: HoursDraft, change: Partial<HoursDraft>) =>
    set({ schedule: d.schedule.map((x) => (x.id === h.id ? { ...x, ...change } : x)) });
  const path = { hub };
  const show = (now: TransferAccount) => {
    setClash(undefined);
    setProblems({});
    setDraft(accountDraft(now));
    changed(now);
  };
  const save = async () => {
    setProblem(undefined);
    const found = checkAccount(d);
    setProblems(found);
    if (Object.keys(found).length > 0) {
      say("Nothing was saved: look at what is marked.");
      return;
    }
    const mine = accountChanges(d, account);
    try {
      const now = await call(
        api.PATCH("/v1/hubs/{hub}/transfer-account", {
          params: { path, header: { "If-Match": account.etag } },
          headers: { "Content-Type": "application/merge-patch+json" },
          body: mine,
        }),
      );
      say(`Saved. ${capNow(now)}`);
      show(now);
    } catch (e) {
      if (asProblem(e).status !== 412) throw e;
      // Somebody else was faster. Theirs is what holds; our changes stay in the form, on top of it.
      const theirs = await call(api.GET("/v1/hubs/{hub}/transfer-account", { params: { path } }));
      show(theirs);
      setDraft(accountDraft(withChanges(theirs, mine)));
      setClash({ mine });
    }
  };
  return (
    <section class="card stack" aria-labelledby={`${id}-t`}>
      <h2 id={`${id}-t`}>Caps and shares</h2>
      <p data-testid="cap">
        <strong>{capNow(account)}</strong> {capLater(account)}
      </p>
      <div class="fields">
        <Field
          label="Cap of the hub, Mbit/s"
          value={d.cap}
          set={(cap) => set({ cap })}
          maxLength={10}
          problem={problems.cap}
          hint="For all its transfers together, headers included. Empty: no cap."
        />
        <Field
          label="Most for one transfer, Mbit/s"
          value={d.rate}
          set={(rate) => set({ rate })}
          maxLength={10}
          problem={problems.rate}
          hint="Empty: as much as the cap leaves."
        />
      </div>
      <fieldset class="bare stack-s">
        <legend class="label">Other caps by the time of day</legend>
        <p class="small muted">The first line that fits wins; at all other times the cap above holds.</p>
        {d.schedule.map((h, n) => (
          <Hours
            key={h.id}
            h={h}
            n={n + 1}
            problems={problems}
            set={(c) => hours(h, c)}
            remove={() => set({ schedule: d.schedule.filter((x) => x.id !== h.id) })}
          />
        ))}
        <div class="row">
          <button type="button" class="btn small" onClick={() => set({ schedule: [...d.schedule, newHours()] })}>
            Add hours
          </button>
        </div>
      </fieldset>
      {d.schedule.length > 0 && (
        <div class="field">
          <label for={`${id}-z`}>Time zone of these hours</label>
          <select
            id={`${id}-z`}
            value={d.zone}
            aria-invalid={problems.zone ? "true" : undefined}
            onChange={(e) => set({ zone: e.currentTarget.value })}
          >
            {zoneOptions}
          </select>
          {problems.zone && <span class="problem">{problems.zone}</span>}
        </div>
      )}
      <fieldset class="ticks">
        <legend>What people may choose</legend>
        <p class="small muted gap">How hard a transfer pushes on a line that others use too.</p>
        {policies.map((p) => (
          <label class="check" key={p}>
            <input
              type="checkbox"
              checked={d.policies.includes(p)}
              onChange={(e) =>
                set({
                  policies: policies.filter((x) => (x === p ? e.currentTarget.checked : d.policies.includes(x))),
                })
              }
            />
            <span>
              <b>{policyNames[p]}</b> <span class="muted">{policyWords[p]}</span>
            </span>
          </label>
        ))}
        {problems.policies && <span class="problem small">{problems.policies}</span>}
      </fieldset>
      <div class="fields">
        <div class="field">
          <label for={`${id}-p`}>Used when nothing is chosen</label>
          <select
            id={`${id}-p`}
            value={d.policy}
            aria-invalid={problems.policy ? "true" : undefined}
            aria-describedby={problems.policy ? `${id}-pp` : undefined}
            onChange={(e) => set({ policy: e.currentTarget.value as TransferPolicy })}
          >
            {policies.map((p) => (
              <option key={p} value={p}>
                {policyNames[p]}
              </option>
            ))}
          </select>
          {problems.policy && (
            <span class="problem" id={`${id}-pp`}>
              {problems.policy}
            </span>
          )}
        </div>
      </div>
      <fieldset class="bare stack-s">
        <legend class="label">Shares of the cap</legend>
        <p class="small muted">Who has 2 gets twice as much as who has 1, while both are sending.</p>
        <div class="fields weights">
          {who.map(([key, name]) => (
            <Field
              key={key}
              label={name}
              value={d.weights[key]}
              set={(v) => set({ weights: { ...d.weights, [key]: v } })}
              inputMode="numeric"
              maxLength={3}
              problem={problems[`weights-${key}`]}
            />
          ))}
        </div>
      </fieldset>
      {problem && <ProblemBanner problem={problem} />}
      {clash && <Clash mine={clash.mine} theirs={account} take={() => show(account)} />}
      <div class="row">
        <Act
          kind="primary"
          do={save}
          failed={(p) => {
            setProblems(accountProblems(p, d));
            setProblem(p);
          }}
        >
          {clash ? "Save mine" : "Save bandwidth"}
        </Act>
      </div>
    </section>
  );
}

/** Somebody else saved while this form was open: theirs beside ours. */
function Clash({ mine, theirs, take }: { mine: TransferAccountPatch; theirs: TransferAccount; take: () => void }) {
  const list = differences(mine, theirs);
  return (
    <Banner
      tone="error"
      action={
        <button type="button" class="btn small" onClick={take}>
          Take theirs
        </button>
      }
    >
      <p>
        <strong>Somebody else saved meanwhile.</strong>{" "}
        {list.length === 0
          ? "They made the same change as you."
          : "Your changes are still in the form and not saved; everything else there is as they saved it."}
      </p>
      {list.length > 0 && (
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Setting</th>
              <th scope="col">Theirs, saved</th>
              <th scope="col">Yours</th>
            </tr>
          </thead>
          <tbody>
            {list.map((x) => (
              <tr key={x.name}>
                <td data-label="Setting">{x.name}</td>
                <td data-label="Theirs, saved">{x.theirs}</td>
                <td data-label="Yours">{x.mine}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Banner>
  );
}

function Hours({
  h,
  n,
  problems,
  set,
  remove,
}: {
  h: HoursDraft;
  n: number;
  problems: AccountProblems;
  set: (change: Partial<HoursDraft>) => void;
  remove: () => void;
}) {
  const problem = (field: string) => problems[`hours-${h.id}-${field}`];
  const toggle = (d: Day, yes: boolean) => set({ days: days.filter((x) => (x === d ? yes : h.days.includes(x))) });
  return (
    <div class="hours" role="group" aria-label={`Hours ${n}`}>
      <div class="days">
        {days.map((d) => (
          <label class="tick" key={d}>
            <input type="checkbox" checked={h.days.includes(d)} onChange={(e) => toggle(d, e.currentTarget.checked)} />
            <span>
              <span aria-hidden="true">{dayNames[d].slice(0, 3)}</span>
              <span class="visually-hidden">{dayNames[d]}</span>
            </span>
          </label>
        ))}
      </div>
      {problem("days") && <span class="problem small">{problem("days")}</span>}
      <div class="fields">
        <Time label="From" value={h.from} set={(from) => set({ from })} problem={problem("from")} />
        <Time label="To" value={h.to} set={(to) => set({ to })} problem={problem("to")} />
        <Field
          label="Cap, Mbit/s"
          value={h.cap}
          set={(cap) => set({ cap })}
          maxLength={10}
          problem={problem("cap")}
          hint="Empty: no cap."
        />
      </div>
      {h.to !== "" && h.to <= h.from && <p class="small muted">Ends on the next day.</p>}
      <div class="row">
        <button type="button" class="btn small danger" aria-label={`Remove hours ${n}`} onClick={remove}>
          <Icon name="trash" size={16} /> Remove
        </button>
      </div>
    </div>
  );
}

function Time(p: { label: string; value: string; set: (v: string) => void; problem?: string }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{p.label}</label>
      <input
        class="input"
        type="time"
        id={id}
        value={p.value}
        aria-invalid={p.problem ? "true" : undefined}
        aria-describedby={p.problem ? `${id}-p` : undefined}
        onInput={(e) => p.set(e.currentTarget.value)}
      />
      {p.problem && (
        <span class="problem" id={`${id}-p`}>
          {p.problem}
        </span>
      )}
    </div>
  );
}
