import { api, call } from "../api";
import { Apps } from "../apps/apps";
import { operatorRegistry } from "../apps/registry";
import { OperatorPage } from "../operator/head";
import { useLoad } from "../ui/parts";

/** Operator → Apps: those of every hub, and those that serve all. */
export default function OperatorApps() {
  return (
    <OperatorPage title="Apps">
      <AllApps />
    </OperatorPage>
  );
}

function AllApps() {
  const hubs = useLoad(() => call(api.GET("/v1/operator/hubs", { params: { query: { limit: 500 } } })), []);
  return (
    <>
      <p class="muted">Programs that may use the API: of one hub, or of all, such as command lines.</p>
      <Apps registry={operatorRegistry} hubs={hubs.data?.items ?? []} />
    </>
  );
}
