import { useEffect, useState } from "preact/hooks";
import { announce, say } from "../announce";
import type { Hub, Problem, TransferAccount } from "../api";
import { asProblem } from "../api";
import { bytes, count } from "../format";
import { Icon } from "../ui/icons";
import { Act, Banner, CopyButton, Field, ProblemBanner } from "../ui/parts";
import type { Agent, AgentLogin, AgentState, Picked } from "./agent";
import { Folders } from "./agent-folders";
import { AgentJobs } from "./agent-jobs";
import { asTheHubSays, speedBody, speedProblem } from "./speed";
import { ChooseSpeed } from "./speed-fields";

const client = () => import("./agent");

/**
 * The agent on this computer: how to get it, or what it sends. Nothing is asked of it before this
 * browser was paired with it.
 */
export function AgentCard({ hub, account, started }: { hub: Hub; account?: TransferAccount; started: () => void }) {
  const [agent, setAgent] = useState<Agent | null>();
  const [state, setState] = useState<AgentState | null>();
  const [paired, setPaired] = useState<boolean>();
  const [problem, setProblem] = useState<Problem>();
  const find = async () => {
    setProblem(undefined);
    try {
      const c = await client();
      setPaired(await c.paired());
      setAgent(await c.findAgent());
    } catch (e) {
      setAgent(null);
      setProblem(asProblem(e));
    }
  };
  useEffect(() => void find(), []);
  useEffect(() => agent?.follow(setState), [agent]);
  const part = async () => {
    await (await client()).unpair();
    setAgent(null);
    setState(undefined);
    setPaired(false);
    say("This browser no longer knows the agent. What it sends goes on.");
  };
  return (
    <section class="card stack" aria-labelledby="agent-title">
      <div class="spread">
        <h2 id="agent-title">
          {state ? (
            <>
              From the agent on <bdi>{state.device}</bdi>
            </>
          ) : (
            "The fast path, by an agent"
          )}
        </h2>
        {paired && (
          <Act small do={part}>
            Unpair
          </Act>
        )}
      </div>
      {problem && <ProblemBanner problem={problem} retry={() => void find()} />}
      {agent && state ? (
        <>
          <Send agent={agent} state={state} hub={hub} account={account} started={started} />
          <AgentJobs agent={agent} jobs={state.jobs} />
        </>
      ) : paired && !problem && agent !== undefined ? (
        <Banner
          tone="warn"
          action={
            <Act small do={find}>
              Look again
            </Act>
          }
        >
          <p>
            <strong>The agent does not answer.</strong> Start it with <code>isthmusctl agent run</code>. What is in its
            queue is kept.
          </p>
        </Banner>
      ) : (
        paired === false && <Pair done={setAgent} paired={() => setPaired(true)} />
      )}
    </section>
  );
}

function Pair({ done, paired }: { done: (a: Agent) => void; paired: () => void }) {
  const [code, setCode] = useState("");
  const pairing = `isthmusctl agent pair ${location.origin}`;
  const [problem, setProblem] = useState<Problem>();
  return (
    <>
      <p class="muted">
        A small program sends files from this computer in the background: by QUIC, which fills long and lossy lines that
        a browser cannot fill, and also after the browser is closed.
      </p>
      <details>
        <summary>Set it up</summary>
        <form
          class="stack"
          onSubmit={(e) => {
            e.preventDefault();
          }}
        >
          <ol class="steps-text stack-s">
            <li>
              Install <a href="/docs/isthmusctl">isthmusctl</a> and start its <a href="/docs/agent">agent</a>, with the
              folders that this page may send from: <code>isthmusctl agent install --folder ~/Videos</code>{" "}
              <CopyButton text="isthmusctl agent install --folder ~/Videos" />
            </li>
            <li>
              Let it show a code: <code>{pairing}</code> <CopyButton text={pairing} />
            </li>
            <li>Type the code here. Your browser may ask whether this page may talk to programs on this computer.</li>
          </ol>
          <Field
            label="Code of the agent"
            value={code}
            set={(c) => {
              setCode(c);
              setProblem(undefined);
            }}
            placeholder="1-ABCD-EFGH"
            maxLength={20}
          />
          {problem && <ProblemBanner problem={problem} />}
          <div class="row">
            <Act
              kind="primary"
              disabled={!code.trim()}
              do={async () => {
                const agent = await (await client()).pair(code);
                paired();
                done(agent);
                say("This browser is paired with the agent.");
              }}
              failed={setProblem}
            >
              Pair
            </Act>
          </div>
        </form>
      </details>
    </>
  );
}

/** Chooses files on the computer and hands them to the agent's queue. */
function Send({
  agent,
  state,
  hub,
  account,
  started,
}: {
  agent: Agent;
  state: AgentState;
  hub: Hub;
  account?: TransferAccount;
  started: () => void;
}) {
  const [picks, setPicks] = useState<Picked[]>([]);
  const [path, setPath] = useState("");
  const [speed, setSpeed] = useState(asTheHubSays);
  const [login, setLogin] = useState<AgentLogin>();
  const [problem, setProblem] = useState<Problem>();
  const known = state.hubs.includes(hub.id);
  const add = (got: Picked[]) => {
    setPicks((old) => [...old, ...got]);
    if (got.length > 0) announce(`${count(got.length, "choice")} added.`);
  };
  const choose = async (ask: () => Promise<Picked[]>) => {
    setProblem(undefined);
    add(await ask());
  };
  if (!known) {
    return (
      <div class="stack-s">
        <p>
          The agent has a sign-in of its own, and none to <bdi>{hub.name}</bdi> yet.
        </p>
        {login ? (
          <p>
            Open{" "}
            <a href={login.address} target="_blank" rel="noreferrer">
              the page for devices
            </a>
            , allow the code <strong>{login.code}</strong> and choose {hub.name} there.
          </p>
        ) : (
          <div class="row">
            <Act do={async () => setLogin(await agent.login())} failed={setProblem}>
              Sign the agent in
            </Act>
          </div>
        )}
        {problem && <ProblemBanner problem={problem} />}
      </div>
    );
  }
  const files = picks.reduce((n, p) => n + p.files, 0);
  return (
    <div class="stack-s">
      <div class="row">
        {state.dialog && (
          <>
            <Act icon="file" do={() => choose(() => agent.pick("files"))} failed={setProblem}>
              Choose files on {state.device}
            </Act>
            <Act icon="folder" do={() => choose(() => agent.pick("folder"))} failed={setProblem}>
              Choose a folder
            </Act>
          </>
        )}
      </div>
      {state.folders.length > 0 ? (
        <details open={!state.dialog}>
          <summary>From the folders that are open to this page</summary>
          <div class="stack-s">
            <Folders agent={agent} folders={state.folders} chosen={add} />
            <Field
              label="Or the path of a file or folder that lies in them"
              value={path}
              set={setPath}
              maxLength={4096}
            />
            <div class="row">
              <Act
                small
                disabled={!path.trim()}
                do={async () => {
                  await choose(() => agent.choosePaths([path.trim()]));
                  setPath("");
                }}
                failed={setProblem}
              >
                Add path
              </Act>
            </div>
          </div>
        </details>
      ) : (
        !state.dialog && (
          <p class="muted">
            No folder is open to this page yet: <code>isthmusctl agent install --folder PATH</code>.
          </p>
        )
      )}
      {problem && <ProblemBanner problem={problem} />}
      {picks.length > 0 && (
        <>
          <ul class="stack-s">
            {picks.map((p) => (
              <li key={p.id} class="row">
                <Icon name={p.folder ? "folder" : "file"} size={16} />
                <bdi>{p.name}</bdi>
                <span class="muted small">
                  {p.folder && `${count(p.files, "file")}, `}
                  {bytes(p.size)}
                </span>
                <button
                  type="button"
                  class="btn icon"
                  aria-label={`Take ${p.name} off the list`}
                  onClick={() => setPicks(picks.filter((x) => x.id !== p.id))}
                >
                  <Icon name="close" size={16} />
                </button>
              </li>
            ))}
          </ul>
          {account && <ChooseSpeed value={speed} set={setSpeed} account={account} />}
          <div class="row">
            <Act
              kind="primary"
              icon="upload"
              disabled={!!speedProblem(speed)}
              do={async () => {
                await agent.send({ hub: hub.id, picks: picks.map((p) => p.id), ...speedBody(speed) });
                setPicks([]);
                started();
                announce(`${count(files, "file")} handed to the agent.`);
              }}
              failed={setProblem}
            >
              Send {count(files, "file")} to {hub.name}
            </Act>
          </div>
        </>
      )}
    </div>
  );
}
