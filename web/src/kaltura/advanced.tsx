import { useId, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type HashType, type Integration, type Problem } from "../api";
import { Act, Field, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { hashes } from "./credential";
import {
  checkOptions,
  type OptionsDraft,
  type OptionsProblems,
  optionsBody,
  optionsOf,
  optionsProblems,
  unusual,
} from "./options";
import { RequestBox } from "./parts";

/** The fields of what few hubs need. `connected`: the account's conversion profiles can be listed. */
export function OptionsFields(p: {
  hub: string;
  draft: OptionsDraft;
  set: (o: OptionsDraft) => void;
  problems: OptionsProblems;
  saved?: Integration;
}) {
  const { draft: o, problems, set, saved } = p;
  const id = useId();
  const put =
    <K extends keyof OptionsDraft>(key: K) =>
    (value: OptionsDraft[K]) =>
      set({ ...o, [key]: value });
  return (
    <div class="stack">
      <div class="fields">
        <Field
          label="Category"
          value={o.category}
          set={put("category")}
          inputMode="numeric"
          maxLength={10}
          problem={problems.category}
          hint="The hub then sees and uses only this Kaltura category and those below it, and uploads are put there. Empty: the whole account."
        />
        {saved ? (
          <ProfileChoice hub={p.hub} value={o.profile} set={put("profile")} problem={problems.profile} />
        ) : (
          <Field
            label="Conversion profile"
            value={o.profile}
            set={put("profile")}
            inputMode="numeric"
            maxLength={10}
            problem={problems.profile}
            hint="How Kaltura converts uploads. Empty: the account's default; once connected you can choose from a list."
          />
        )}
        <div class="field">
          <label for={`${id}-e`}>Category entitlement</label>
          <select
            id={`${id}-e`}
            value={o.entitlement}
            aria-describedby={`${id}-eh`}
            aria-invalid={problems.entitlement ? "true" : undefined}
            onChange={(e) => put("entitlement")(e.currentTarget.value as OptionsDraft["entitlement"])}
          >
            <option value="">As the account says</option>
            <option value="enforce">Enforce, in a privacy context</option>
            <option value="disable">Disable</option>
          </select>
          <span class="hint" id={`${id}-eh`}>
            Kaltura's own rule of who sees what in a category. The App Token must say the same; the request above does.
          </span>
          {problems.entitlement && <span class="problem">{problems.entitlement}</span>}
        </div>
        {o.entitlement === "enforce" && (
          <Field
            label="Privacy context"
            value={o.context}
            set={put("context")}
            maxLength={64}
            problem={problems.context}
            hint="As in the entitlement settings of the category."
          />
        )}
      </div>
      <label class="row" style={{ flexWrap: "nowrap" }}>
        <input type="checkbox" checked={o.player} onChange={(e) => put("player")(e.currentTarget.checked)} />
        <span>Use a second App Token for playback</span>
      </label>
      {o.player && (
        <div class="stack-s">
          <p class="muted small">
            The first App Token then browses and uploads; this one only starts sessions that play one restricted item
            for some minutes.
          </p>
          <PlayerRequest hub={p.hub} serviceUrl={saved?.service_url} />
          <div class="fields">
            <Field
              label="Player App Token id"
              value={o.playerId}
              set={put("playerId")}
              problem={problems.playerId}
              maxLength={100}
            />
            <Field
              label="Player App Token"
              type="password"
              value={o.playerToken}
              set={put("playerToken")}
              problem={problems.playerToken}
              maxLength={500}
              hint={
                saved?.player_token_id
                  ? `Leave empty to keep the saved one (…${saved.player_last4 ?? ""}).`
                  : "Stored sealed; nobody can read it again."
              }
            />
            <div class="field">
              <label for={`${id}-h`}>Player hash type</label>
              <select
                id={`${id}-h`}
                value={o.playerHash}
                onChange={(e) => put("playerHash")(e.currentTarget.value as HashType)}
              >
                {hashes.map((h) => (
                  <option key={h} value={h}>
                    {h}
                  </option>
                ))}
              </select>
              {problems.playerHash && <span class="problem">{problems.playerHash}</span>}
            </div>
          </div>
        </div>
      )}
    </div>
  );
}

function ProfileChoice(p: { hub: string; value: string; set: (v: string) => void; problem?: string }) {
  const id = useId();
  const list = useLoad(
    () =>
      call(api.GET("/v1/hubs/{hub}/integrations/kaltura/conversion-profiles", { params: { path: { hub: p.hub } } })),
    [p.hub],
  );
  if (list.problem) {
    return (
      <Field
        label="Conversion profile"
        value={p.value}
        set={p.set}
        inputMode="numeric"
        maxLength={10}
        problem={p.problem}
        hint={`The list cannot be read: ${list.problem.message} Write the profile's number, or leave it empty for the account's default.`}
      />
    );
  }
  if (!list.data) return <Loading what="Loading conversion profiles" />;
  const known = list.data.some((c) => String(c.id) === p.value);
  return (
    <div class="field">
      <label for={id}>Conversion profile</label>
      <select
        id={id}
        value={p.value}
        aria-describedby={`${id}-h`}
        aria-invalid={p.problem ? "true" : undefined}
        onChange={(e) => p.set(e.currentTarget.value)}
      >
        <option value="">The account's default</option>
        {p.value && !known && <option value={p.value}>{p.value} (not in the account)</option>}
        {list.data.map((c) => (
          <option key={c.id} value={String(c.id)}>
            {c.name}
            {c.default ? " (default)" : ""}
          </option>
        ))}
      </select>
      <span class="hint" id={`${id}-h`}>
        How Kaltura converts what is uploaded from here.
      </span>
      {p.problem && <span class="problem">{p.problem}</span>}
    </div>
  );
}

function PlayerRequest({ hub, serviceUrl }: { hub: string; serviceUrl?: string }) {
  const request = useLoad(
    () =>
      call(
        api.GET("/v1/hubs/{hub}/integrations/kaltura/token-request", {
          params: { path: { hub }, query: { visibility: "own", player: true, service_url: serviceUrl } },
        }),
      ),
    [hub, serviceUrl],
  );
  return (
    <details>
      <summary>How to make it in Kaltura</summary>
      {request.data ? (
        <RequestBox request={request.data} />
      ) : request.problem ? (
        <ProblemBanner problem={request.problem} retry={request.again} />
      ) : (
        <Loading />
      )}
    </details>
  );
}

/** The options of a connection that is there. */
export function AdvancedCard({ hub, i, changed }: { hub: string; i: Integration; changed: (i: Integration) => void }) {
  const [draft, setDraft] = useState(optionsOf(i));
  const [problems, setProblems] = useState<OptionsProblems>({});
  const [problem, setProblem] = useState<Problem>();
  const save = async () => {
    setProblem(undefined);
    const found = checkOptions(draft, i.player_token_id);
    setProblems(found);
    if (Object.keys(found).length > 0) return;
    const now = await call(
      api.PATCH("/v1/hubs/{hub}/integrations/kaltura", {
        params: { path: { hub }, header: { "If-Match": i.etag } },
        headers: { "Content-Type": "application/merge-patch+json" },
        body: optionsBody(draft),
      }),
    );
    changed(now);
    say("The advanced settings were saved.");
  };
  return (
    <section class="card" aria-label="Advanced settings">
      <details open={unusual(optionsOf(i))}>
        <summary>Advanced</summary>
        <div class="stack">
          <OptionsFields
            hub={hub}
            draft={draft}
            set={(d) => {
              setDraft(d);
              setProblems({});
            }}
            problems={problems}
            saved={i}
          />
          {problem && <ProblemBanner problem={problem} />}
          <div class="row">
            <Act
              kind="primary"
              do={save}
              failed={(p) => {
                setProblems(optionsProblems(p));
                setProblem(p);
              }}
            >
              Save advanced settings
            </Act>
          </div>
        </div>
      </details>
    </section>
  );
}
