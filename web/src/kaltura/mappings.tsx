import { useEffect, useId, useState } from "preact/hooks";
import { announce } from "../announce";
import { api, call, type Mapping } from "../api";
import { ago, count, when } from "../format";
import { usePages } from "../library/pages";
import { Act, Loading, ProblemBanner } from "../ui/parts";
import { EditMapping } from "./mapping-edit";
import { DryRun } from "./mapping-rules";

const states: Record<Mapping["state"], [string, string]> = {
  active: ["Linked", "ok"],
  pending: ["Needs approval", "warn"],
  conflict: ["Conflict", "bad"],
  unlinked: ["Unlinked", ""],
};
const hows: Record<Mapping["how"], string> = { matched: "found by e-mail", provisioned: "created", manual: "by hand" };

interface Filter {
  q: string;
  state: "" | Mapping["state"];
  how: "" | Mapping["how"];
}

/** A select with its label. */
export function Choice<T extends string>(p: { label: string; value: T; set: (v: T) => void; options: [T, string][] }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{p.label}</label>
      <select id={id} value={p.value} onChange={(e) => p.set(e.currentTarget.value as T)}>
        {p.options.map(([v, text]) => (
          <option key={v} value={v}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Waits until somebody has stopped typing. */
export function useSettled<T>(value: T): T {
  const [settled, set] = useState(value);
  useEffect(() => {
    const t = setTimeout(() => set(value), 300);
    return () => clearTimeout(t);
  }, [JSON.stringify(value)]);
  return settled;
}

const whose = (m: Mapping) => m.participant_name || m.participant_email || m.participant_id;

/** Who is who in Kaltura; what needs a decision comes first. */
export function Mappings({ hub }: { hub: string }) {
  const [filter, setFilter] = useState<Filter>({ q: "", state: "", how: "" });
  const asked = useSettled(filter);
  const queryOf = (f: Filter) => ({ q: f.q || undefined, state: f.state || undefined, how: f.how || undefined });
  const list = usePages<Mapping, { items: Mapping[]; next?: string }>(
    `${hub} ${JSON.stringify(asked)}`,
    (cursor, signal) =>
      call(
        api.GET("/v1/hubs/{hub}/mappings", {
          signal,
          params: { path: { hub }, query: { ...queryOf(asked), cursor, limit: 50 } },
        }),
      ),
  );
  const [editing, setEditing] = useState<Mapping>();
  const searchId = useId();
  const filtered = !!(asked.q || asked.state || asked.how);
  useEffect(() => {
    if (list.items && filtered) announce(count(list.items.length, "person", "people"));
  }, [list.items?.length, filtered]);
  const address = new URLSearchParams(Object.entries(queryOf(filter)).filter((e): e is [string, string] => !!e[1]));
  return (
    <section class="stack" aria-labelledby="mappings-title" data-testid="mappings">
      <h2 id="mappings-title">People and their Kaltura users</h2>
      <search class="fields">
        <div class="field">
          <label for={searchId}>Search</label>
          <input
            class="input"
            id={searchId}
            type="search"
            autocomplete="off"
            placeholder="Name, e-mail or Kaltura user"
            value={filter.q}
            maxLength={200}
            onInput={(e) => setFilter({ ...filter, q: e.currentTarget.value })}
          />
        </div>
        <Choice
          label="State"
          value={filter.state}
          set={(state) => setFilter({ ...filter, state })}
          options={[
            ["", "All"],
            ["conflict", "Conflict: to be decided"],
            ["pending", "Needs approval"],
            ["active", "Linked"],
            ["unlinked", "Unlinked"],
          ]}
        />
        <Choice
          label="How linked"
          value={filter.how}
          set={(how) => setFilter({ ...filter, how })}
          options={[
            ["", "All"],
            ["matched", "Found by e-mail"],
            ["provisioned", "Created by Isthmus"],
            ["manual", "By hand"],
          ]}
        />
      </search>
      {list.problem && <ProblemBanner problem={list.problem} retry={list.again} />}
      {!list.items && !list.problem && <Loading />}
      {list.items?.length === 0 && (
        <p class="muted">{filtered ? "Nobody is like that." : "Nobody used Kaltura through this hub yet."}</p>
      )}
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
                    <bdi>{whose(m)}</bdi>
                    {m.participant_name && <div class="small muted wrap">{m.participant_email}</div>}
                    {m.participant_suspended && <div class="small muted">Suspended, or left the hub</div>}
                  </td>
                  <td data-label="Kaltura user">
                    <bdi class="wrap">{m.platform_user_id || m.candidates.join(", ") || "none"}</bdi>
                    {m.state === "active" && (
                      <div class="small muted">
                        {hows[m.how]}, {when(m.linked_at)}
                      </div>
                    )}
                  </td>
                  <td data-label="State">
                    <span class={`badge ${states[m.state][1]}`}>{states[m.state][0]}</span>
                  </td>
                  <td data-label="Last used">{m.last_used_at ? ago(m.last_used_at) : "never"}</td>
                  <td>
                    <button
                      type="button"
                      class="btn small"
                      aria-label={`Change the link of ${whose(m)}`}
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
      <div class="row">
        {list.hasMore && <Act do={list.more}>Load more</Act>}
        <a class="btn small" href={`/v1/hubs/${hub}/mappings/export?${address}`} download="mappings.csv">
          Export as CSV
        </a>
      </div>
      <DryRun hub={hub} />
      {editing && (
        <EditMapping
          hub={hub}
          m={editing}
          close={() => setEditing(undefined)}
          saved={(m) => {
            list.put({ ...editing, ...m });
            setEditing(undefined);
          }}
          merged={() => {
            setEditing(undefined);
            list.refresh();
          }}
        />
      )}
    </section>
  );
}
