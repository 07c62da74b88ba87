import { Icon, type IconName } from "../ui/icons";
import { Banner } from "../ui/parts";
import type { ProviderCheck } from "./providers";

const names: Record<string, string> = {
  discovery: "Discovery document",
  endpoints: "Endpoints",
  keys: "Signing keys",
  algorithms: "Algorithms",
  pkce: "PKCE",
  scopes: "Scopes",
  hubs: "The claim of the hubs",
  client: "Client id and secret",
  redirect: "Redirect address",
  log_out: "Log-out address",
};
type State = ProviderCheck["checks"][number]["state"];
const looks: Record<State, { list: string; icon: IconName; word: string }> = {
  passed: { list: "ok", icon: "check", word: "passed" },
  warned: { list: "warned", icon: "warn", word: "to be looked at" },
  failed: { list: "failed", icon: "error", word: "failed" },
  info: { list: "skipped", icon: "info", word: "for you to do" },
};

/** What was found when the provider was asked, step by step, with what to change. */
export function Checks({ found }: { found: ProviderCheck }) {
  return (
    <div class="stack-s" data-testid="checks">
      {found.ok ? (
        <Banner tone="good">
          <p>
            <strong>The identity provider answers as it should.</strong> Sign in once yourself to be sure.
          </p>
        </Banner>
      ) : (
        <Banner tone="error">
          <p>
            <strong>People cannot sign in like this.</strong> Below is what to change.
          </p>
        </Banner>
      )}
      <ul class="checks" aria-label="What was found">
        {found.checks.map((c) => (
          <li key={c.step + c.text} class={looks[c.state].list} data-check={c.step} data-state={c.state}>
            <Icon name={looks[c.state].icon} />
            <div class="grow">
              <p>
                <strong>{names[c.step] ?? c.step}</strong>
                <span class="visually-hidden">: {looks[c.state].word}</span>
              </p>
              <p class="small muted wrap">{c.text}</p>
            </div>
            {c.fix && <p class="fix wrap">{c.fix}</p>}
          </li>
        ))}
      </ul>
    </div>
  );
}
