import { useId } from "preact/hooks";
import type { TransferAccount } from "../api";
import { bits } from "../format";
import { Field } from "../ui/parts";
import { type Speed, speedBody, speedProblem } from "./speed";
import { policyNames, policyWords, speedWords } from "./words";

/** Chooses how hard a transfer pushes and how fast it may be at most, within what the hub allows. */
export function SpeedFields({
  value,
  set,
  account,
}: {
  value: Speed;
  set: (s: Speed) => void;
  account: TransferAccount;
}) {
  const id = useId();
  const most = Math.min(
    account.cap_now_bps || Number.POSITIVE_INFINITY,
    account.max_rate_bps || Number.POSITIVE_INFINITY,
  );
  const own = value.policy || account.default_policy;
  return (
    <div class="fields">
      {account.policies.length > 1 && (
        <div class="field">
          <label for={id}>Its part of a crowded line</label>
          <select
            id={id}
            value={value.policy}
            aria-describedby={`${id}-hint`}
            onChange={(e) => set({ ...value, policy: e.currentTarget.value as Speed["policy"] })}
          >
            <option value="">As the hub says ({policyNames[account.default_policy]})</option>
            {account.policies.map((p) => (
              <option key={p} value={p}>
                {policyNames[p]}
              </option>
            ))}
          </select>
          <span class="hint" id={`${id}-hint`}>
            {policyWords[own]}
          </span>
        </div>
      )}
      <Field
        label="At most, Mbit/s"
        value={value.rate}
        set={(rate) => set({ ...value, rate })}
        maxLength={10}
        problem={speedProblem(value)}
        hint={
          Number.isFinite(most)
            ? `Empty: as fast as it goes, here at most ${bits(most)}.`
            : "Empty: as fast as the line allows."
        }
      />
    </div>
  );
}

/** The same, closed until somebody wants it: most people need neither. */
export function ChooseSpeed(p: { value: Speed; set: (s: Speed) => void; account: TransferAccount }) {
  return (
    <details>
      <summary>
        Speed:{" "}
        {speedWords({ policy: p.value.policy || p.account.default_policy, rate_bps: speedBody(p.value).rate_bps })}
      </summary>
      <SpeedFields {...p} />
    </details>
  );
}
