import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Mapping, type Problem } from "../api";
import { ago } from "../format";
import { usePages } from "../library/pages";
import { Act, Dialog, Field, Loading, ProblemBanner } from "../ui/parts";

const states: Record<string, [string, string]> = {
  active: ["Linked", "ok"],
  pending: ["Needs approval", "warn"],
  conflict: ["Conflict", "bad"],
  unlinked: ["Unlinked", ""],
};
const hows: Record<string, string> = { matched: "found by e-mail", provisioned: "created", manual: "by hand" };

/** Who is who in Kaltura; what needs a decision comes first. */
export function Mappings({ hub }: { hub: string }) {
  const list = usePages<Mapping, { items: Mapping[]; next?: string }>(hub, (cursor, signal) =>
    call(api.GET("/v1/hubs/{hub}/mappings", { signal, params: { path: { hub }, query: { cursor, limit: 50 } } })),
  );
  const [editing, setEditing] = useState<Mapping>();
  return (
    <section class="stack" aria-labelledby="mappings-title">
      <h2 id="mappings-title">People</h2>
      {list.problem && <ProblemBanner problem={list.problem} retry={list.again} />}
      {!list.items && !list.problem && <Loading />}
      {list.items?.length === 0 && <p class="muted">Nobody used Kaltura through this hub yet.</p>}
      {list.items && list.items.length > 0 && (
        <div class="table-wrap">
          <table class="table">
            <caption class="visually-hidden">People of the hub and their Kaltura users</caption>
            <thead>
              <tr>
                <th scope="col">Person</th>
                <th scope="col">Kaltura user</th>
                <th scope="col">State</th>
                <th scope="col">Last used</th>
                <th scope="col">
                  <span class="visually-hidden">Change</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {list.items.map((m) => (
                <tr key={m.id}>
                  <td data-label="Person">
                    <bdi>{m.participant_name || m.participant_email || m.participant_id}</bdi>
                    {m.participant_name && <div class="small muted wrap">{m.participant_email}</div>}
                  </td>
                  <td data-label="Kaltura user">
                    <bdi>{m.platform_user_id || m.candidates.join(", ") || "none"}</bdi>
                    {m.state === "active" && <div class="small muted">{hows[m.how] ?? m.how}</div>}
                  </td>
                  <td data-label="State">
                    <span class={`badge ${states[m.state]?.[1] ?? ""}`}>{states[m.state]?.[0] ?? m.state}</span>
                  </td>
                  <td data-label="Last used">{m.last_used_at ? ago(m.last_used_at) : "never"}</td>
                  <td>
                    <button
                      type="button"
                      class="btn small"
                      aria-label={`Change the link of ${m.participant_name || m.participant_email || m.participant_id}`}
                      onClick={() => setEditing(m)}
                    >
                      {m.state === "conflict" ? "Resolve" : m.state === "pending" ? "Approve" : "Change"}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.hasMore && (
        <div class="row">
          <Act do={list.more}>Load more</Act>
        </div>
      )}
      {editing && (
        <Edit
          hub={hub}
          m={editing}
          close={() => setEditing(undefined)}
          saved={(m) => {
            list.put({ ...editing, ...m });
            setEditing(undefined);
          }}
        />
      )}
    </section>
  );
}

function Edit({ hub, m, close, saved }: { hub: string; m: Mapping; close: () => void; saved: (m: Mapping) => void }) {
  const [user, setUser] = useState(m.platform_user_id);
  const [problem, setProblem] = useState<Problem>();
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
    saved(now);
  };
  const unlink = async () => {
    const now = await call(api.DELETE("/v1/hubs/{hub}/mappings/{id}", { params: at }));
    say("The person is no longer linked.");
    saved(now);
  };
  return (
    <Dialog
      slim
      title={
        <>
          Kaltura user of <bdi>{m.participant_name || m.participant_email}</bdi>
        </>
      }
      close={close}
      foot={
        <>
          {m.state === "active" && (
            <Act kind="danger" do={unlink} failed={setProblem}>
              Unlink
            </Act>
          )}
          <Act kind="primary" do={link} failed={setProblem} disabled={!user.trim()}>
            {m.state === "pending" ? "Approve" : "Link"}
          </Act>
        </>
      }
    >
      <div class="stack">
        {problem && <ProblemBanner problem={problem} />}
        {m.candidates.length > 0 && (
          <fieldset class="choices">
            <legend>Several Kaltura users have the e-mail {m.participant_email}. Which one is it?</legend>
            {m.candidates.map((c) => (
              <label class="choice" key={c}>
                <input type="radio" name="candidate" checked={user === c} onChange={() => setUser(c)} />
                <b class="wrap">
                  <bdi>{c}</bdi>
                </b>
              </label>
            ))}
          </fieldset>
        )}
        <Field
          label="Kaltura user id"
          value={user}
          set={setUser}
          maxLength={100}
          hint="Their media become visible to this person."
        />
      </div>
    </Dialog>
  );
}
