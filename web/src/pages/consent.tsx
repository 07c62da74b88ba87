import { useEffect } from "preact/hooks";
import { api, call } from "../api";
import type { PageProps } from "../app";
import { AskCard } from "../oauth/ask";
import { Loading, ProblemBanner, useLoad } from "../ui/parts";

/** An app sent the person here; the answer goes back to it. */
export default function Consent({ params }: PageProps) {
  const path = { id: params.request! };
  const load = useLoad(() => call(api.GET("/v1/me/consents/{id}", { params: { path } })), [params.request]);
  useEffect(() => {
    document.title = "Allow access · Isthmus";
  }, []);
  return (
    <div class="stack narrow">
      <h1>Allow access</h1>
      {load.problem && (
        <ProblemBanner problem={load.problem} retry={load.problem.status === 404 ? undefined : load.again} />
      )}
      {!load.data && !load.problem && <Loading />}
      {load.data && (
        <AskCard
          ask={load.data}
          decide={async (body) => {
            const { redirect_to } = await call(api.POST("/v1/me/consents/{id}", { params: { path }, body }));
            location.assign(redirect_to);
          }}
        />
      )}
    </div>
  );
}
