import { useEffect } from "preact/hooks";
import { api, call, type MyIntegration } from "../api";
import { Grants } from "../oauth/grants";
import { me } from "../session";
import { Banner, Loading, ProblemBanner, useLoad } from "../ui/parts";

const states: Record<MyIntegration["state"], [string, string]> = {
  connected: ["Connected", "ok"],
  not_connected: ["Not connected", ""],
  plan_too_low: ["Not in the plan", "warn"],
};
const hows: Record<string, string> = {
  matched: "your existing Kaltura user, found by your e-mail",
  provisioned: "created for you, without a login",
  manual: "linked by an admin",
};
const waiting: Record<string, string> = {
  none: "You are linked to a Kaltura user when you first open “From Kaltura”.",
  pending: "Waits for the approval of an admin.",
  conflict: "Several Kaltura users have your e-mail. An admin has to choose.",
  unlinked: "An admin cut the link.",
};

export default function Account() {
  const load = useLoad(() => call(api.GET("/v1/me/integrations")), []);
  useEffect(() => {
    document.title = "Integrations · Account · Isthmus";
  }, []);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>Account</li>
          <li>Integrations</li>
        </ol>
      </nav>
      <h1>Your integrations</h1>
      <p class="muted">
        Signed in as <bdi>{me.value?.name}</bdi> (<span class="wrap">{me.value?.email}</span>). This is whom your hubs
        connect you to, and what you see there.
      </p>
      {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!load.data && !load.problem && <Loading />}
      {load.data?.items.map((i) => (
        <One key={i.hub.id} i={i} />
      ))}
      <Grants />
      <p>
        <a href="/account/data">Your data: download or erase</a>
      </p>
    </div>
  );
}

function One({ i }: { i: MyIntegration }) {
  const [word, tone] = states[i.state] ?? [i.state, ""];
  const map = i.mapping;
  return (
    <section class="card stack" aria-labelledby={`hub-${i.hub.id}`} data-hub={i.hub.id}>
      <div class="spread">
        <h2 id={`hub-${i.hub.id}`}>
          <bdi>{i.hub.name}</bdi>
        </h2>
        <span class={`badge ${tone}`}>Kaltura: {word}</span>
      </div>
      {i.health && i.health !== "ok" && (
        <Banner tone={i.health === "degraded" ? "warn" : "error"}>
          <p>{i.health_text}</p>
        </Banner>
      )}
      <dl class="facts">
        {map && (
          <>
            <dt>Kaltura user</dt>
            <dd>
              {map.platform_user_id && map.state === "active" ? (
                <>
                  <bdi>{map.platform_user_id}</bdi> {map.how && <span class="muted">({hows[map.how] ?? map.how})</span>}
                </>
              ) : (
                (waiting[map.state] ?? map.state)
              )}
            </dd>
          </>
        )}
        <dt>What you see</dt>
        <dd>{i.what_i_see}</dd>
        {i.next_step && (
          <>
            <dt>What to do</dt>
            <dd>{i.next_step}</dd>
          </>
        )}
      </dl>
      <div class="row">
        {i.state === "connected" && (
          <a class="btn small" href={`/hubs/${i.hub.id}/library?tab=kaltura`}>
            Open the media library
          </a>
        )}
        {i.hub.role === "admin" && i.state !== "plan_too_low" && (
          <a class="btn small" href={`/hubs/${i.hub.id}/settings/integrations/kaltura`}>
            Hub settings
          </a>
        )}
      </div>
    </section>
  );
}
