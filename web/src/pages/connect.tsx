import { useEffect, useState } from "preact/hooks";
import { api, call, type Diagnosis, type Problem } from "../api";
import type { PageProps } from "../app";
import { when } from "../format";
import { checkDraft, connection, type Draft, type DraftProblems, emptyDraft } from "../kaltura/credential";
import { CredentialFields, DiagnosisView, RequestBox } from "../kaltura/parts";
import { Act, Banner, Loading, ProblemBanner, useLoad } from "../ui/parts";

/** For a Kaltura administrator outside the hub, who got a link. */
export default function Connect({ params }: PageProps) {
  const path = { secret: params.secret! };
  const load = useLoad(() => call(api.GET("/v1/connect/{secret}", { params: { path } })), [params.secret]);
  const [draft, setDraft] = useState<Draft>(emptyDraft);
  const [problems, setProblems] = useState<DraftProblems>({});
  const [problem, setProblem] = useState<Problem>();
  const [done, setDone] = useState<{ hub_name: string; diagnosis: Diagnosis }>();
  useEffect(() => {
    document.title = "Connect Kaltura · Isthmus";
  }, []);
  const info = load.data;
  const send = async (matchBy?: "user_id") => {
    setProblem(undefined);
    const p = checkDraft(draft);
    setProblems(p);
    if (Object.keys(p).length > 0 || !info) return;
    setDone(
      await call(
        api.POST("/v1/connect/{secret}", { params: { path }, body: connection(draft, info.visibility, matchBy) }),
      ),
    );
  };
  return (
    <div class="stack narrow">
      <h1>Connect Kaltura</h1>
      {load.problem && (
        <ProblemBanner problem={load.problem} retry={load.problem.status === 404 ? undefined : load.again} />
      )}
      {!info && !load.problem && <Loading />}
      {done && (
        <>
          <Banner tone="good">
            <p>
              <strong>{done.hub_name} is connected.</strong> You are done and can close this page; the link no longer
              works.
            </p>
          </Banner>
          <DiagnosisView d={done.diagnosis} />
        </>
      )}
      {info && !done && (
        <>
          <p>
            An admin of <strong>{info.hub_name}</strong> asks you to connect your Kaltura account to their hub.
            Participants will see{" "}
            <strong>{info.visibility === "shared" ? "the whole account" : "only their own media"}</strong>. The link
            works once, until {when(info.expires_at)}.
          </p>
          <ol class="steps">
            <li>
              <div class="stack">
                <h2>Run this in Kaltura</h2>
                <RequestBox request={info.token_request} />
              </div>
            </li>
            <li>
              <div class="stack">
                <h2>Paste what Kaltura answered</h2>
                <CredentialFields draft={draft} set={setDraft} problems={problems} />
                {problem && (
                  <ProblemBanner
                    problem={problem}
                    action={
                      problem.code === "match_by_user_id_only" && (
                        <Act small do={() => send("user_id")} failed={setProblem}>
                          Use user id = e-mail
                        </Act>
                      )
                    }
                  />
                )}
                <div class="row">
                  <Act kind="primary" do={() => send()} failed={setProblem}>
                    Connect
                  </Act>
                </div>
              </div>
            </li>
          </ol>
        </>
      )}
    </div>
  );
}
