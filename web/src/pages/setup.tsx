import { useEffect, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Problem } from "../api";
import { navigate } from "../router";
import { loadMe, me } from "../session";
import { Act, Field, ProblemBanner } from "../ui/parts";

/** The first start: who has the code that `isthmus setup` printed becomes the first operator. */
export default function Setup() {
  const [code, setCode] = useState("");
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    document.title = "Set up · Isthmus";
  }, []);
  const begin = async () => {
    setProblem(undefined);
    await call(api.POST("/v1/operator/setup", { body: { code } }));
    await loadMe();
    say("You are the operator of this installation.");
    navigate("/operator");
  };
  return (
    <div class="stack narrow">
      <h1>Set up this installation</h1>
      {me.value?.operator ? (
        <div class="card stack-s">
          <p>You are an operator already.</p>
          <div class="row">
            <a class="btn primary" href="/operator">
              Go to the hubs
            </a>
          </div>
        </div>
      ) : (
        <form
          class="card stack"
          aria-labelledby="code-title"
          onSubmit={(e) => {
            e.preventDefault();
            e.currentTarget.querySelector("button")?.click();
          }}
        >
          <h2 id="code-title">Become the first operator</h2>
          <p class="muted">
            You are signed in as <bdi>{me.value?.name || me.value?.email}</bdi>. Operators make hubs, set their plans
            and name further operators. On the server, run <code>isthmus setup</code> and enter the code here within 15
            minutes.
          </p>
          {problem && <ProblemBanner problem={problem} />}
          <Field
            label="Setup code"
            value={code}
            set={setCode}
            placeholder="XXXXX-XXXXX-XXXXX-XXXXX"
            problem={problem?.fields.find((f) => f.pointer === "/code")?.detail}
            maxLength={100}
          />
          <div class="row">
            <Act kind="primary" do={begin} failed={setProblem} disabled={code.trim() === ""}>
              Become the operator
            </Act>
          </div>
        </form>
      )}
    </div>
  );
}
