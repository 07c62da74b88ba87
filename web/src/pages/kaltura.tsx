import { useEffect, useState } from "preact/hooks";
import { api, call } from "../api";
import type { PageProps } from "../app";
import { AdvancedCard } from "../kaltura/advanced";
import { Mappings } from "../kaltura/mappings";
import { StatusView } from "../kaltura/status";
import { UntaggedCard } from "../kaltura/untagged";
import { NotificationsCard, ReconciliationCard } from "../kaltura/upkeep";
import { Webhooks } from "../kaltura/webhooks";
import { Wizard } from "../kaltura/wizard";
import { hub, hubs, rememberHub } from "../session";
import { Icon } from "../ui/icons";
import { Loading, ProblemBanner, useLoad } from "../ui/parts";
import { SettingsNav } from "../ui/settings-nav";

export default function KalturaSettings({ params }: PageProps) {
  const id = params.hub!;
  const h = hubs.value.find((x) => x.id === id);
  useEffect(() => {
    rememberHub(id);
    document.title = `Kaltura · Hub settings · ${hub.peek()?.name ?? "Isthmus"}`;
  }, [id]);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>{h?.name}</li>
          <li>Hub settings</li>
          <li>Integrations</li>
        </ol>
      </nav>
      <SettingsNav hub={id} />
      <h1>Kaltura</h1>
      {h?.role !== "admin" ? (
        <Closed title="Only admins of the hub can see these settings">
          Ask an admin of {h?.name} to connect Kaltura or to change what people see. What you are connected to yourself
          is shown under <a href="/account/integrations">Account → Integrations</a>.
        </Closed>
      ) : !h.allows_integrations && !h.downgraded_at ? (
        <Closed title="Kaltura is not part of this hub's plan">
          The plan “{h.plan}” does not include integrations. Move the hub to the Enterprise or University plan, then
          come back here.
        </Closed>
      ) : (
        <Settings hubId={id} />
      )}
    </div>
  );
}

function Closed({ title, children }: { title: string; children: preact.ComponentChildren }) {
  return (
    <div class="card stack-s">
      <Icon name="info" size={28} />
      <h2>{title}</h2>
      <p class="muted">{children}</p>
    </div>
  );
}

function Settings({ hubId }: { hubId: string }) {
  const load = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/integrations/kaltura", { params: { path: { hub: hubId } } })),
    [hubId],
  );
  const [rotating, setRotating] = useState(false);
  const [gone, setGone] = useState(false);
  if ((load.problem?.code === "not_connected" && !load.data) || gone) {
    return (
      <div class="stack">
        <p class="muted">
          Connect the hub's Kaltura account once. Everybody in the hub then browses, imports and uploads without another
          login.
        </p>
        <Wizard
          hub={hubId}
          done={(i) => {
            setGone(false);
            load.set(i);
          }}
        />
      </div>
    );
  }
  if (load.problem && !load.data) return <ProblemBanner problem={load.problem} retry={load.again} />;
  if (!load.data) return <Loading />;
  if (rotating) {
    return (
      <div class="stack">
        <p class="muted">The old App Token works until the new one is saved. Nothing is interrupted.</p>
        <Wizard
          hub={hubId}
          saved={load.data}
          cancel={() => setRotating(false)}
          done={(i) => {
            setRotating(false);
            load.set(i);
          }}
        />
      </div>
    );
  }
  return (
    <div class="stack">
      <StatusView
        key={load.data.etag}
        hub={hubId}
        i={load.data}
        changed={load.set}
        rotate={() => setRotating(true)}
        gone={() => setGone(true)}
      />
      <AdvancedCard key={`advanced-${load.data.etag}`} hub={hubId} i={load.data} changed={load.set} />
      <ReconciliationCard hub={hubId} />
      <UntaggedCard hub={hubId} />
      <NotificationsCard hub={hubId} />
      <Webhooks hub={hubId} />
      <Mappings hub={hubId} />
    </div>
  );
}
