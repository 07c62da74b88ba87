import { useEffect, useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Diagnosis, type Integration, type Problem, type TokenRequest, type Visibility } from "../api";
import { when } from "../format";
import { Once } from "../ui/once";
import { Act, Loading, ProblemBanner } from "../ui/parts";
import { OptionsFields } from "./advanced";
import { checkDraft, connection, type Draft, type DraftProblems, emptyDraft } from "./credential";
import { checkOptions, type OptionsProblems, optionsBody, optionsOf, optionsProblems, unusual } from "./options";
import { CredentialFields, DiagnosisView, RequestBox, VisibilityChoice } from "./parts";

/** Connects a hub, or with `saved` gives it another token. */
export function Wizard({
  hub,
  saved,
  done,
  cancel,
}: {
  hub: string;
  saved?: Integration;
  done: (i: Integration) => void;
  cancel?: () => void;
}) {
  const [visibility, setVisibility] = useState<Visibility>(saved?.visibility ?? "shared");
  const [draft, setDraft] = useState<Draft>(
    saved
      ? {
          serviceUrl: saved.service_url,
          partnerId: String(saved.partner_id),
          tokenId: "",
          token: "",
          hash: saved.hash_type,
        }
      : emptyDraft,
  );
  const [problems, setProblems] = useState<DraftProblems>({});
  const [options, setOptions] = useState(optionsOf(saved));
  const [optionProblems, setOptionProblems] = useState<OptionsProblems>({});
  const [diagnosis, setDiagnosis] = useState<Diagnosis>();
  const [problem, setProblem] = useState<Problem>();
  const result = useRef<HTMLDivElement>(null);

  const change = (d: Draft) => {
    setDraft(d);
    setProblems({});
    setDiagnosis(undefined);
  };
  const checked = () => {
    setProblem(undefined);
    const p = checkDraft(draft);
    setProblems(p);
    const o = checkOptions(options, saved?.player_token_id);
    setOptionProblems(o);
    return Object.keys(p).length + Object.keys(o).length === 0
      ? { ...connection(draft, visibility), ...optionsBody(options) }
      : null;
  };
  const failed = (p: Problem) => {
    setOptionProblems(optionsProblems(p));
    setProblem(p);
  };
  const test = async () => {
    const body = checked();
    if (!body) return;
    const d = await call(api.POST("/v1/hubs/{hub}/integrations/kaltura/verify", { params: { path: { hub } }, body }));
    setDiagnosis(d);
    requestAnimationFrame(() => result.current?.focus());
  };
  const save = async (matchBy = saved?.match_by) => {
    const body = checked();
    if (!body) return;
    const i = await call(
      api.PUT("/v1/hubs/{hub}/integrations/kaltura", {
        params: { path: { hub }, header: saved ? { "If-Match": saved.etag } : {} },
        body: { ...body, mapping_mode: saved?.mapping_mode, match_by: matchBy },
      }),
    );
    say(saved ? "The App Token was replaced." : "Kaltura is connected.");
    done(i);
  };
  return (
    <ol class="steps">
      <li>
        <div class="stack">
          <h2>Choose what people see</h2>
          <VisibilityChoice
            value={visibility}
            set={(v) => {
              setVisibility(v);
              setDiagnosis(undefined);
            }}
          />
        </div>
      </li>
      <li>
        <div class="stack">
          <h2>Make an App Token in Kaltura</h2>
          <p class="muted">
            A Kaltura administrator runs this once. It makes a revocable key that can do exactly what is needed.
          </p>
          <Request
            hub={hub}
            visibility={visibility}
            serviceUrl={draft.serviceUrl}
            entitlement={options.entitlement}
            context={options.context}
          />
          {!saved && <InviteLink hub={hub} visibility={visibility} />}
        </div>
      </li>
      <li>
        <div class="stack">
          <h2>Paste what Kaltura answered</h2>
          <CredentialFields draft={draft} set={change} problems={problems} />
          <details open={unusual(options) || Object.keys(optionProblems).length > 0}>
            <summary>Advanced</summary>
            <OptionsFields
              hub={hub}
              draft={options}
              set={(o) => {
                setOptions(o);
                setOptionProblems({});
                setDiagnosis(undefined);
              }}
              problems={optionProblems}
              saved={saved}
            />
          </details>
          {problem && (
            <ProblemBanner
              problem={problem}
              action={
                problem.code === "match_by_user_id_only" && (
                  <Act small do={() => save("user_id")} failed={setProblem}>
                    Use user id = e-mail
                  </Act>
                )
              }
            />
          )}
          <div class="row">
            <Act do={test} failed={failed}>
              Test connection
            </Act>
            <Act kind="primary" do={() => save()} failed={failed}>
              {saved ? "Replace" : "Save"}
            </Act>
            {cancel && (
              <button type="button" class="btn" onClick={cancel}>
                Cancel
              </button>
            )}
          </div>
          {diagnosis && (
            <section ref={result} tabIndex={-1} aria-label="Result of the test">
              <DiagnosisView d={diagnosis} />
            </section>
          )}
        </div>
      </li>
    </ol>
  );
}

function Request({
  hub,
  visibility,
  serviceUrl,
  entitlement,
  context,
}: {
  hub: string;
  visibility: Visibility;
  serviceUrl: string;
  entitlement: Integration["entitlement"];
  context: string;
}) {
  const [request, setRequest] = useState<TokenRequest>();
  const [problem, setProblem] = useState<Problem>();
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    // The address is typed letter by letter; ask when it rests and can be one.
    const usable = URL.canParse(serviceUrl.trim()) ? serviceUrl.trim() : undefined;
    const rule =
      entitlement === "enforce"
        ? /^[\w-]{1,64}$/.test(context.trim()) && { entitlement, privacy_context: context.trim() }
        : { entitlement };
    const t = setTimeout(
      () =>
        call(
          api.GET("/v1/hubs/{hub}/integrations/kaltura/token-request", {
            signal: stop.signal,
            params: { path: { hub }, query: { visibility, service_url: usable, ...rule } },
          }),
        ).then(
          (r) => {
            setRequest(r);
            setProblem(undefined);
          },
          (e) => !stop.signal.aborted && setProblem(e),
        ),
      request ? 400 : 0,
    );
    return () => {
      clearTimeout(t);
      stop.abort();
    };
  }, [hub, visibility, serviceUrl, entitlement, context, turn]);
  if (request) return <RequestBox request={request} />;
  if (problem) return <ProblemBanner problem={problem} retry={() => setTurn((n) => n + 1)} />;
  return <Loading />;
}

function InviteLink({ hub, visibility }: { hub: string; visibility: Visibility }) {
  const [link, setLink] = useState<{ url: string; expires_at: string }>();
  const make = async () => {
    setLink(
      await call(
        api.POST("/v1/hubs/{hub}/integrations/kaltura/invites", { params: { path: { hub } }, body: { visibility } }),
      ),
    );
  };
  return (
    <details>
      <summary>Somebody else looks after Kaltura?</summary>
      <div class="stack-s">
        <p class="muted">
          Send them a link. They paste the App Token there, without joining this hub, and you never see it.
        </p>
        {link ? (
          <Once
            title="The link"
            made={[
              {
                label: "Address",
                text: new URL(link.url, location.href).href,
                copy: "Copy link",
                testid: "invite-link",
              },
            ]}
            done={() => setLink(undefined)}
          >
            <p class="small">It works once, until {when(link.expires_at)}, and is shown only now.</p>
          </Once>
        ) : (
          <div class="row">
            <Act small icon="link" do={make}>
              Make a link
            </Act>
          </div>
        )}
      </div>
    </details>
  );
}
