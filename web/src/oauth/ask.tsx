import { useState } from "preact/hooks";
import type { Problem } from "../api";
import type { components } from "../api.gen";
import { me } from "../session";
import { Act, Banner, ProblemBanner } from "../ui/parts";

export type Ask = components["schemas"]["ConsentAsk"];
export type Decision = components["schemas"]["ConsentDecision"];

/** An app's question: what it may do, in which hub, and the two answers. */
export function AskCard({
  ask,
  decide,
  device,
}: {
  ask: Ask;
  decide: (d: Decision) => Promise<void>;
  device?: boolean;
}) {
  const [chosen, setChosen] = useState(ask.hubs[0]?.id ?? "");
  const [problem, setProblem] = useState<Problem>();
  const name = <bdi>{ask.client.name}</bdi>;
  const answer = (d: Decision) => {
    setProblem(undefined);
    return decide(d);
  };
  return (
    <section class="card stack" aria-labelledby="ask">
      <h2 id="ask" class="wrap">
        {name} wants to act for you
      </h2>
      <p class="muted">
        You are signed in as <bdi>{me.value?.name}</bdi>{" "}
        {me.value?.email && <span class="wrap">({me.value.email})</span>}.
      </p>
      {device && (
        <Banner tone="warn">
          <p>
            <strong>Only go on if you began this yourself, just now, on your own device.</strong> Whoever sent you this
            code would else see and change what you may.
          </p>
        </Banner>
      )}
      {ask.hubs.length === 0 ? (
        <Banner tone="warn">
          <p>
            <strong>You are not in the hub of this app.</strong> Ask an admin of that hub to add you, or sign in with
            another account.
          </p>
        </Banner>
      ) : (
        <>
          <div>
            <p>It will be able to:</p>
            <ul class="bullets">
              {ask.scopes.map((s) => (
                <li key={s.name}>{s.title}</li>
              ))}
            </ul>
            <p class="small muted">Never more than you may yourself.</p>
          </div>
          {ask.hubs.length === 1 ? (
            <p>
              In the hub{" "}
              <strong>
                <bdi>{ask.hubs[0]!.name}</bdi>
              </strong>
              .
            </p>
          ) : (
            <fieldset class="choices">
              <legend>In which hub?</legend>
              {ask.hubs.map((h) => (
                <label key={h.id} class="choice">
                  <input
                    type="radio"
                    name="hub"
                    value={h.id}
                    checked={chosen === h.id}
                    onChange={() => setChosen(h.id)}
                  />
                  <b>
                    <bdi>{h.name}</bdi>
                  </b>
                  <span>{h.allowed ? "You allowed this before." : "Not allowed yet."}</span>
                </label>
              ))}
            </fieldset>
          )}
        </>
      )}
      {ask.returns_to && (
        <p class="small muted wrap">
          Afterwards you go back to <strong>{ask.returns_to}</strong>.
        </p>
      )}
      {problem && <ProblemBanner problem={problem} />}
      <div class="row">
        {ask.hubs.length > 0 && (
          <Act kind="primary" do={() => answer({ decision: "allow", hub_id: chosen })} failed={setProblem}>
            Allow
          </Act>
        )}
        <Act do={() => answer({ decision: "deny" })} failed={setProblem}>
          Do not allow
        </Act>
      </div>
      <p class="small muted">You can take it back at any time under Account.</p>
    </section>
  );
}
