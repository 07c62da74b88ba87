import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Mapping, type MappingRun, type MergePreview, type PlatformUser, type Problem } from "../api";
import { count } from "../format";
import { Act, Banner, Dialog, Field, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { RunProgress } from "./mapping-rules";

/** Links, approves, resolves, cuts or merges one person's Kaltura user. */
export function EditMapping(p: {
  hub: string;
  m: Mapping;
  close: () => void;
  saved: (m: Mapping) => void;
  merged: () => void;
}) {
  const { hub, m } = p;
  const [user, setUser] = useState(m.platform_user_id);
  const [problem, setProblem] = useState<Problem>();
  const [cutting, setCutting] = useState(false);
  const [began, setBegan] = useState<MappingRun>();
  const at = { path: { hub, id: m.id }, header: { "If-Match": m.etag } };
  const link = async () => {
    const now = await call(
      api.PATCH("/v1/hubs/{hub}/mappings/{id}", {
        params: at,
        headers: { "Content-Type": "application/merge-patch+json" },
        body: { platform_user_id: user.trim() },
      }),
    );
    say("The person is linked.");
    p.saved(now);
  };
  const unlink = async () => {
    if (!cutting) {
      setCutting(true);
      return;
    }
    const now = await call(api.DELETE("/v1/hubs/{hub}/mappings/{id}", { params: at }));
    say("The person is no longer linked.");
    p.saved(now);
  };
  const changed = user.trim() !== m.platform_user_id;
  return (
    <Dialog
      slim
      title={
        <>
          Kaltura user of <bdi>{m.participant_name || m.participant_email || m.participant_id}</bdi>
        </>
      }
      close={began ? p.merged : p.close}
      foot={
        began ? (
          <button type="button" class="btn primary" onClick={p.merged}>
            Close
          </button>
        ) : (
          <>
            {m.state === "active" && (
              <Act kind="danger" do={unlink} failed={setProblem}>
                {cutting ? "Yes, unlink" : "Unlink"}
              </Act>
            )}
            <Act kind="primary" do={link} failed={setProblem} disabled={!user.trim()}>
              {m.state === "pending" ? "Approve" : "Link"}
            </Act>
          </>
        )
      }
    >
      <div class="stack">
        {problem && <ProblemBanner problem={problem} />}
        {cutting && !began && (
          <Banner tone="warn">
            <p>
              The person loses their way to Kaltura until an admin links them again. Their media stay there, with the
              user {m.platform_user_id}.
            </p>
          </Banner>
        )}
        {began ? (
          <RunProgress hub={hub} run={began} />
        ) : (
          <>
            {m.state === "conflict" && <Candidates hub={hub} m={m} user={user} choose={setUser} />}
            <Field
              label="Kaltura user id"
              value={user}
              set={setUser}
              maxLength={100}
              hint="Their media become visible to this person."
            />
            {m.state === "active" && m.how === "provisioned" && changed && user.trim() && (
              <Merge hub={hub} m={m} user={user.trim()} began={setBegan} />
            )}
            <Merges hub={hub} m={m} />
          </>
        )}
      </div>
    </Dialog>
  );
}

function about(u: PlatformUser): string {
  return [u.name, u.email, u.active ? "" : "blocked or unknown"].filter(Boolean).join(" · ");
}

/** What Kaltura says about those who it might be. */
function Candidates(p: { hub: string; m: Mapping; user: string; choose: (id: string) => void }) {
  const load = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/mappings/{id}", { params: { path: { hub: p.hub, id: p.m.id } } })),
    [p.m.id],
  );
  const users = load.data?.candidate_users ?? p.m.candidates.map((id) => ({ id, active: true }));
  return (
    <fieldset class="choices">
      <legend>
        {users.length > 1
          ? `Several Kaltura users have the e-mail ${p.m.participant_email ?? ""}. Which one is it?`
          : "It is not certain that this is the person's Kaltura user. Is it?"}
      </legend>
      {users.map((u) => (
        <label class="choice" key={u.id}>
          <input type="radio" name="candidate" checked={p.user === u.id} onChange={() => p.choose(u.id)} />
          <b class="wrap">
            <bdi>{u.id}</bdi>
          </b>
          <span class="wrap">{about(u)}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** Offers to move the entries, and tells first how many there are. */
function Merge(p: { hub: string; m: Mapping; user: string; began: (r: MappingRun) => void }) {
  const [preview, setPreview] = useState<{ of: string; p: MergePreview }>();
  const [problem, setProblem] = useState<Problem>();
  const path = { hub: p.hub, id: p.m.id };
  const look = async () => {
    setProblem(undefined);
    const found = await call(
      api.GET("/v1/hubs/{hub}/mappings/{id}/merge", { params: { path, query: { platform_user_id: p.user } } }),
    );
    setPreview({ of: p.user, p: found });
  };
  const merge = async () => {
    const run = await call(
      api.POST("/v1/hubs/{hub}/mappings/{id}/merge", {
        params: { path, header: { "If-Match": p.m.etag } },
        body: { platform_user_id: p.user },
      }),
    );
    p.began(run);
  };
  const shown = preview?.of === p.user ? preview.p : undefined;
  return (
    <section class="stack-s" aria-label="Merge">
      <p>
        The user <bdi class="wrap">{p.m.platform_user_id}</bdi> was created by Isthmus. If the person has a real user
        now, their media can move there, too.
      </p>
      {problem && <ProblemBanner problem={problem} />}
      <div role="status">
        {shown && (
          <Banner tone={shown.undo ? "info" : "warn"}>
            <p>
              <strong>{count(shown.entries, "entry", "entries")}</strong> of <bdi class="wrap">{shown.from.id}</bdi>{" "}
              would belong to <bdi class="wrap">{shown.to.id}</bdi> {about(shown.to) && `(${about(shown.to)})`}.{" "}
              {shown.note}
            </p>
          </Banner>
        )}
      </div>
      <div class="row">
        {shown ? (
          <Act do={merge} failed={setProblem}>
            Link and move {count(shown.entries, "entry", "entries")}
          </Act>
        ) : (
          <Act do={look} failed={setProblem}>
            What would move?
          </Act>
        )}
      </div>
    </section>
  );
}

/** Earlier merges of this person, to be taken back or gone on with. */
function Merges({ hub, m }: { hub: string; m: Mapping }) {
  const load = useLoad(
    () =>
      call(
        api.GET("/v1/hubs/{hub}/mapping-runs", {
          params: { path: { hub }, query: { kind: "merge", mapping: m.id, limit: 5 } },
        }),
      ),
    [m.id],
  );
  if (load.problem) return <ProblemBanner problem={load.problem} retry={load.again} />;
  if (!load.data) return <Loading />;
  if (load.data.items.length === 0) return null;
  return (
    <section class="stack-s" aria-label="Earlier merges">
      <h3>Merges</h3>
      {load.data.items.map((r) => (
        <RunProgress key={r.id} hub={hub} run={r} />
      ))}
    </section>
  );
}
