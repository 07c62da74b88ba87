import { useState } from "preact/hooks";
import { announce, say } from "../announce";
import { api, call, idempotencyKey, type Problem } from "../api";
import { Once } from "../ui/once";
import { Act, Banner, Dialog, ProblemBanner } from "../ui/parts";
import type { DropActivation, DropFolder } from "./types";

/** A folder's way in for machines: make its credential, renew it, take it away. */
export function Credential(p: { hub: string; folder: DropFolder; close: () => void; changed: () => void }) {
  const { hub, folder } = p;
  const [made, setMade] = useState<DropActivation>();
  const [problem, setProblem] = useState<Problem>();
  const has = made?.client_id ?? folder.client_id;
  const header = () => ({ "Idempotency-Key": idempotencyKey() });
  const activate = async () => {
    setProblem(undefined);
    const a = await call(
      api.POST("/v1/hubs/{hub}/drop-folders/activate", {
        params: { path: { hub }, header: header() },
        body: { name: folder.name },
      }),
    );
    setMade(a);
    p.changed();
    announce(a.secret ? "Copy the secret now: it is never shown again." : "The folder has its credential already.");
  };
  const takeAway = async () => {
    setProblem(undefined);
    await call(
      api.POST("/v1/hubs/{hub}/drop-folders/{id}/deactivate", {
        params: { path: { hub, id: folder.id }, header: header() },
      }),
    );
    p.changed();
  };
  return (
    <Dialog title={`Machine credential of ${folder.name}`} close={p.close} slim={!made} firm={!!made?.secret}>
      <div class="stack">
        {problem && <ProblemBanner problem={problem} />}
        {made?.secret ? (
          <Once
            testid="drop-credential"
            title="The way in for machines"
            made={[
              { label: "Client id", text: made.client_id ?? "", testid: "drop-client-id" },
              { label: "Secret", text: made.secret, copy: "Copy the secret", testid: "drop-secret" },
              { label: "Tokens from", text: made.token_url },
              { label: "Uploads to", text: made.uploads_url },
              ...(made.place ? [{ label: "Or write to", text: made.place }] : []),
              { label: "Command line", text: made.command, copy: "Copy the line" },
            ]}
            done={p.close}
          />
        ) : (
          <>
            <p>
              A program may send files into this folder with a credential of its own, and see the folder's files. People
              need none: they sign in.
            </p>
            <p>
              {folder.handler === "content"
                ? "What it sends becomes entries; manifests are refused."
                : "A manifest that it sends may change and delete each entry that the maker of the folder may. A folder for media only refuses manifests."}
            </p>
            {has ? (
              <>
                <p>
                  It has one: <code class="wrap">{has}</code>. Its secret was shown once. When it was lost, a new
                  credential takes its place, and the old one stops working at once.
                </p>
                <div class="row">
                  <Act
                    do={async () => {
                      await takeAway();
                      await activate();
                    }}
                    failed={setProblem}
                  >
                    Make a new credential
                  </Act>
                  <Act
                    kind="danger"
                    do={async () => {
                      await takeAway();
                      say(`${folder.name} has no credential any more. What is sent with it is refused from now on.`);
                      p.close();
                    }}
                    failed={setProblem}
                  >
                    Take it away
                  </Act>
                </div>
              </>
            ) : (
              <>
                <Banner tone="info">
                  <p>The secret is shown once. Have a safe place for it at hand.</p>
                </Banner>
                <div class="row">
                  <Act kind="primary" do={activate} failed={setProblem}>
                    Make a credential
                  </Act>
                </div>
              </>
            )}
          </>
        )}
      </div>
    </Dialog>
  );
}
