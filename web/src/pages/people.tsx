import { useEffect, useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, type Member } from "../api";
import type { PageProps } from "../app";
import { hubs, rememberHub } from "../session";
import { EraseDialog } from "../ui/erase";
import { Act, Loading, ProblemBanner, useLoad } from "../ui/parts";
import { SettingsNav } from "../ui/settings-nav";

const roles: Record<string, string> = { admin: "Admin", content_admin: "Content admin", participant: "Participant" };

/** Hub settings → People: who is in the hub, and shutting out, handing out and erasing. */
export default function People({ params }: PageProps) {
  const id = params.hub!;
  const h = hubs.value.find((x) => x.id === id);
  useEffect(() => {
    rememberHub(id);
    document.title = `People · Hub settings · ${h?.name ?? "Isthmus"}`;
  }, [id]);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>{h?.name}</li>
          <li>Hub settings</li>
          <li>People</li>
        </ol>
      </nav>
      <SettingsNav hub={id} />
      <h1>People</h1>
      {h?.role === "admin" ? (
        <>
          <p class="muted">
            People come by themselves when they sign in; roles are those of your spaces platform. Who leaves there is
            suspended here; what they made stays.
          </p>
          <List hub={id} />
        </>
      ) : (
        <div class="card stack-s">
          <h2>Only admins of the hub can see its people</h2>
          <p class="muted">
            What is kept about you is under <a href="/account/data">Account → Your data</a>.
          </p>
        </div>
      )}
    </div>
  );
}

function List({ hub }: { hub: string }) {
  const [cursor, setCursor] = useState<string>();
  const load = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/members", { params: { path: { hub }, query: { cursor, limit: 50 } } })),
    [hub, cursor],
  );
  const [erasing, setErasing] = useState<Member>();
  const own = hubs.value.find((x) => x.id === hub)?.participant_id;
  if (load.problem && !load.data) return <ProblemBanner problem={load.problem} retry={load.again} />;
  if (!load.data) return <Loading />;
  const suspend = async (m: Member, suspended: boolean) => {
    await call(api.PATCH("/v1/hubs/{hub}/members/{id}", { params: { path: { hub, id: m.id } }, body: { suspended } }));
    say(suspended ? `${m.name} is suspended.` : `${m.name} is let in again.`);
    load.again();
  };
  return (
    <>
      {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      <ul class="stack" style={{ listStyle: "none", padding: 0 }}>
        {load.data.items.map((m) => (
          <li class="card stack-s" key={m.id} data-member={m.email}>
            <div class="spread">
              <h2>
                <bdi>{m.name}</bdi>
                {m.id === own && <span class="muted"> (you)</span>}
              </h2>
              {m.suspended ? (
                <span class="badge warn">{m.held ? "Suspended" : "Left"}</span>
              ) : (
                <span class="badge">{roles[m.role] ?? m.role}</span>
              )}
            </div>
            <p class="small muted wrap">
              {m.email || "no e-mail address"}
              {m.email && !m.email_verified && " (not verified: no Kaltura user is found by it)"}
            </p>
            <div class="row">
              {m.id !== own && (
                <Act small kind={m.suspended ? undefined : "danger"} do={() => suspend(m, !m.suspended)}>
                  {m.suspended ? "Reinstate" : "Suspend"}
                  <span class="visually-hidden"> {m.name}</span>
                </Act>
              )}
              <a class="btn small" href={`/v1/hubs/${hub}/members/${m.id}/export`} download={`isthmus-${m.id}.json`}>
                Download data<span class="visually-hidden"> of {m.name}</span>
              </a>
              {m.id !== own && (
                <button type="button" class="btn small danger" onClick={() => setErasing(m)}>
                  Erase…<span class="visually-hidden"> {m.name}</span>
                </button>
              )}
            </div>
          </li>
        ))}
      </ul>
      <div class="row">
        {cursor && (
          <button type="button" class="btn" onClick={() => setCursor(undefined)}>
            Back to the newest
          </button>
        )}
        {load.data.next && (
          <button type="button" class="btn" onClick={() => setCursor(load.data?.next)}>
            Older members
          </button>
        )}
      </div>
      {erasing && (
        <EraseDialog
          title={`Erase the data of ${erasing.name}`}
          preview={() =>
            call(api.GET("/v1/hubs/{hub}/members/{id}/erasure", { params: { path: { hub, id: erasing.id } } }))
          }
          erase={(confirm) =>
            call(
              api.POST("/v1/hubs/{hub}/members/{id}/erasure", {
                params: { path: { hub, id: erasing.id } },
                body: { confirm },
              }),
            )
          }
          done={() => {
            setErasing(undefined);
            say("The data are being erased.");
            load.again();
          }}
          close={() => setErasing(undefined)}
        />
      )}
    </>
  );
}
