import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { asProblem, type Problem } from "../api";
import { Once } from "../ui/once";
import { Act, Dialog, Loading, ProblemBanner } from "../ui/parts";
import { Checks } from "./checks";
import { Claims } from "./claims";
import { ProviderForm } from "./provider-form";
import { type Provider, type ProviderCheck, type ProviderPatch, providers, type WebhookSecret } from "./providers";

const sources: Record<Provider["source"], string> = {
  database: "",
  flags: "Named when the server was started",
  demo: "Built in, for the demo",
};

/** One identity provider with all that can be done to it. A new one is checked at once. */
export function ProviderCard(p: {
  provider: Provider;
  fresh: boolean;
  changed: (p: Provider) => void;
  gone: () => void;
}) {
  const { provider } = p;
  const fixed = provider.source !== "database";
  const [open, setOpen] = useState<"" | "change" | "claims" | "off" | "delete" | "secret">("");
  const [found, setFound] = useState<ProviderCheck>();
  const [checking, setChecking] = useState(p.fresh);
  const [secret, setSecret] = useState<WebhookSecret>();
  const [problem, setProblem] = useState<Problem>();
  const title = useRef<HTMLHeadingElement>(null);
  const close = () => setOpen("");

  const check = async () => {
    setProblem(undefined);
    setChecking(true);
    try {
      setFound(await providers.verify(provider));
    } finally {
      setChecking(false);
    }
  };
  useEffect(() => {
    if (!p.fresh) return;
    title.current?.focus();
    check().catch((e) => setProblem(asProblem(e)));
  }, []);

  // Somebody else was faster: what they saved is shown, and the change can be made again.
  const failed = async (e: Problem) => {
    setProblem(e);
    close();
    if (e.code === "stale") p.changed(await providers.get(provider));
  };
  const update = async (patch: ProviderPatch, done: string) => {
    setProblem(undefined);
    p.changed(await providers.update(provider, patch));
    setFound(undefined);
    close();
    say(done);
  };

  return (
    <li class="card stack-s" data-provider={provider.id}>
      <div class="spread">
        <h2 tabIndex={-1} ref={title}>
          <bdi>{provider.name}</bdi>
        </h2>
        <span class={`badge ${provider.enabled ? "ok" : "bad"}`}>{provider.enabled ? "Enabled" : "Switched off"}</span>
      </div>
      {problem && <ProblemBanner problem={problem} />}
      <dl class="facts">
        <dt>Issuer</dt>
        <dd class="wrap">{provider.issuer}</dd>
        <dt>Client id</dt>
        <dd>
          <code class="wrap">{provider.client_id}</code>{" "}
          <span class="muted small">{provider.has_secret ? "with a secret" : "public, without a secret"}</span>
        </dd>
        <dt>Who may sign in</dt>
        <dd class="wrap">
          {provider.email_domains.length > 0
            ? `Verified addresses at ${provider.email_domains.join(", ")}`
            : "Whoever the provider lets in"}
        </dd>
        <dt>Hubs come from</dt>
        <dd>
          <code class="wrap">{provider.claims.hubs}</code>
        </dd>
        <dt>Webhooks</dt>
        <dd>{provider.has_webhook_secret ? "Taken when signed" : "Not taken: there is no secret yet"}</dd>
        {fixed && (
          <>
            <dt>Comes from</dt>
            <dd>{sources[provider.source]}: it cannot be changed here</dd>
          </>
        )}
      </dl>
      {open === "change" ? (
        <ProviderForm
          provider={provider}
          cancel={close}
          save={(body) => update(body, "The identity provider was changed.")}
        />
      ) : open === "claims" ? (
        <Claims
          provider={provider}
          close={close}
          save={fixed ? undefined : (claims) => update({ claims }, "The claims were changed.")}
        />
      ) : (
        <div class="row">
          <Act small do={check} failed={setProblem} aria-label={`Check ${provider.name}`}>
            Check
          </Act>
          <button
            type="button"
            class="btn small"
            onClick={() => setOpen("claims")}
            aria-label={`Claims of ${provider.name}`}
          >
            Claims
          </button>
          {!fixed && (
            <>
              <button
                type="button"
                class="btn small"
                onClick={() => setOpen("change")}
                aria-label={`Change ${provider.name}`}
              >
                Change
              </button>
              <button
                type="button"
                class="btn small"
                onClick={() => setOpen("secret")}
                aria-label={`Webhook secret of ${provider.name}`}
              >
                Webhook secret…
              </button>
              {provider.enabled ? (
                <button
                  type="button"
                  class="btn small"
                  onClick={() => setOpen("off")}
                  aria-label={`Switch off ${provider.name}`}
                >
                  Switch off…
                </button>
              ) : (
                <Act
                  small
                  do={() => update({ enabled: true }, `${provider.name} is switched on.`)}
                  failed={failed}
                  aria-label={`Switch on ${provider.name}`}
                >
                  Switch on
                </Act>
              )}
              <button
                type="button"
                class="btn small danger"
                onClick={() => setOpen("delete")}
                aria-label={`Delete ${provider.name}`}
              >
                Delete…
              </button>
            </>
          )}
        </div>
      )}
      {checking && <Loading what="Asking the identity provider" />}
      {found && !checking && open !== "change" && open !== "claims" && <Checks found={found} />}
      {secret && (
        <Once
          testid="webhook-secret"
          title="The webhook secret"
          made={[
            { label: "Send webhooks to", text: secret.url },
            { label: "Secret", text: secret.secret, copy: "Copy the secret", testid: "webhook-secret-value" },
          ]}
          done={() => setSecret(undefined)}
        />
      )}
      {open === "off" && (
        <Ask
          title={`Switch off ${provider.name}?`}
          keep="Leave it on"
          act="Switch off"
          close={close}
          failed={failed}
          do={() => update({ enabled: false }, `${provider.name} is switched off.`)}
        >
          <Consequences />
          <p>Switched on again, they sign in as before.</p>
        </Ask>
      )}
      {open === "delete" && (
        <Ask
          title={`Delete ${provider.name}?`}
          keep="Keep it"
          act="Delete"
          close={close}
          failed={failed}
          do={async () => {
            await providers.remove(provider);
            say(`${provider.name} was deleted.`);
            p.gone();
          }}
        >
          <Consequences />
          <p>
            Its secret and the mapping of its claims are forgotten. Added again with the same issuer, its people are the
            same ones again.
          </p>
        </Ask>
      )}
      {open === "secret" && (
        <Ask
          title={`Webhook secret of ${provider.name}`}
          keep="Cancel"
          act={provider.has_webhook_secret ? "Make a new secret" : "Make the secret"}
          harmless={!provider.has_webhook_secret}
          close={close}
          failed={failed}
          do={async () => {
            setSecret(await providers.webhookSecret(provider));
            close();
            p.changed(await providers.get(provider));
          }}
        >
          <p>
            With it the spaces platform signs what it tells us at once: that somebody left a hub, came back, or has
            another role.
          </p>
          {provider.has_webhook_secret && (
            <p>
              <strong>The present secret stops working now:</strong> what the platform signs with it is refused until it
              has the new one.
            </p>
          )}
        </Ask>
      )}
    </li>
  );
}

/** Who is signed out when a provider is no more. */
function Consequences() {
  return (
    <>
      <p>
        <strong>Everybody who signed in through it is signed out at once,</strong> and apps that act for them lose their
        access. Nobody signs in through it, and its tokens are no longer exchanged.
      </p>
      <p>Their hubs, media and settings stay.</p>
    </>
  );
}

function Ask(p: {
  title: string;
  keep: string;
  act: string;
  harmless?: boolean;
  close: () => void;
  do: () => Promise<unknown>;
  failed: (p: Problem) => void;
  children: ComponentChildren;
}) {
  return (
    <Dialog
      slim
      title={p.title}
      close={p.close}
      foot={
        <>
          <button type="button" class="btn" onClick={p.close}>
            {p.keep}
          </button>
          <Act kind={p.harmless ? "primary" : "danger"} do={p.do} failed={p.failed}>
            {p.act}
          </Act>
        </>
      }
    >
      <div class="stack-s">{p.children}</div>
    </Dialog>
  );
}
