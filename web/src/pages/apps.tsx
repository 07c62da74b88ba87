import { useEffect, useMemo } from "preact/hooks";
import type { PageProps } from "../app";
import { Apps } from "../apps/apps";
import { hubRegistry } from "../apps/registry";
import { hubs, rememberHub } from "../session";
import { SettingsNav } from "../ui/settings-nav";

/** Hub settings → Apps: which programs may ask for tokens in this hub. */
export default function AppsPage({ params }: PageProps) {
  const id = params.hub!;
  const h = hubs.value.find((x) => x.id === id);
  const registry = useMemo(() => hubRegistry(id), [id]);
  useEffect(() => {
    rememberHub(id);
    document.title = `Apps · Hub settings · ${h?.name ?? "Isthmus"}`;
  }, [id]);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>{h?.name}</li>
          <li>Hub settings</li>
          <li>Apps</li>
        </ol>
      </nav>
      <SettingsNav hub={id} />
      <h1>Apps</h1>
      {h?.role !== "admin" ? (
        <div class="card stack-s">
          <h2>Only admins of the hub can see these settings</h2>
          <p class="muted">
            Ask an admin of {h?.name} to register an app. What you allowed apps to do is shown under{" "}
            <a href="/account/integrations">Account</a>.
          </p>
        </div>
      ) : (
        <>
          <p class="muted">
            Programs that may use this hub through the API: with a token of their own, or in the name of people who
            allow it.
          </p>
          <Apps registry={registry} />
        </>
      )}
    </div>
  );
}
