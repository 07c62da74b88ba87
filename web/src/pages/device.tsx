import { useEffect, useRef, useState } from "preact/hooks";
import { api, call, type Problem } from "../api";
import { type Ask, AskCard, type Decision } from "../oauth/ask";
import { here } from "../router";
import { Act, Banner, ProblemBanner } from "../ui/parts";

/** A device without a browser shows a code; its person types it here. */
export default function Device() {
  const [code, setCode] = useState(here.value.searchParams.get("user_code") ?? "");
  const [ask, setAsk] = useState<Ask>();
  const [done, setDone] = useState<Decision["decision"]>();
  const [problem, setProblem] = useState<Problem>();
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = "Connect a device · Isthmus";
  }, []);
  useEffect(() => {
    if (ask || done) title.current?.focus();
  }, [ask, done]);
  const path = { user_code: code.trim() };
  const look = async () => {
    setProblem(undefined);
    setAsk(await call(api.GET("/v1/me/devices/{user_code}", { params: { path } })));
  };
  return (
    <div class="stack narrow">
      <h1 ref={title} tabIndex={-1}>
        Connect a device
      </h1>
      {done && (
        <Banner tone={done === "allow" ? "good" : "info"}>
          <p>
            {done === "allow" ? (
              <>
                <strong>Done.</strong> Your device goes on by itself in a few seconds; you can close this page.
              </>
            ) : (
              <>
                <strong>Refused.</strong> The device got no access.
              </>
            )}
          </p>
        </Banner>
      )}
      {ask && !done && (
        <AskCard
          device
          ask={ask}
          decide={async (body) => {
            await call(api.POST("/v1/me/devices/{user_code}", { params: { path }, body }));
            setDone(body.decision);
          }}
        />
      )}
      {!ask && !done && (
        <form
          class="card stack"
          onSubmit={(e) => {
            e.preventDefault();
            e.currentTarget.querySelector("button")?.click();
          }}
        >
          <div class="field">
            <label for="user-code">Code that your device shows</label>
            <input
              id="user-code"
              class="input"
              value={code}
              onInput={(e) => setCode(e.currentTarget.value)}
              autocomplete="one-time-code"
              autocapitalize="characters"
              spellcheck={false}
              maxLength={40}
              placeholder="BCDF-GHJK"
              aria-describedby="user-code-hint"
            />
            <p class="hint" id="user-code-hint">
              Eight letters; case and dashes do not matter.
            </p>
          </div>
          {problem && <ProblemBanner problem={problem} />}
          <div class="row">
            <Act kind="primary" do={look} failed={setProblem} disabled={!code.trim()}>
              Continue
            </Act>
          </div>
        </form>
      )}
    </div>
  );
}
