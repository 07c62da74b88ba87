import { useEffect } from "preact/hooks";
import { api, call } from "../api";
import { here } from "../router";
import { Logo } from "../ui/icons";
import { Banner, Loading, ProblemBanner, useLoad } from "../ui/parts";

const lastKey = "identity-provider";

function last(): string {
  try {
    return localStorage.getItem(lastKey) ?? "";
  } catch {
    return "";
  }
}

function remember(id: string): void {
  try {
    localStorage.setItem(lastKey, id);
  } catch {
    // Private windows may refuse; then nothing is remembered.
  }
}

/** Where to go after the sign-in: the page that was asked for, or the one that this page was opened for. */
function next(url: URL): string {
  if (url.pathname === "/sign-in") return url.searchParams.get("next") ?? "/";
  const q = new URLSearchParams(url.search);
  q.delete("iss");
  return url.pathname + (q.size ? `?${q}` : "");
}

export default function SignIn() {
  const url = here.value;
  const q = url.searchParams;
  const issuer = q.get("iss");
  const to = (params: Record<string, string>) => `/auth/login?${new URLSearchParams({ ...params, next: next(url) })}`;
  const load = useLoad(() => call(api.GET("/v1/sign-in")), []);
  useEffect(() => {
    document.title = "Sign in · Isthmus";
    // The spaces platform's own links name it: its people are signed in there, and not asked again.
    if (issuer) location.replace(to({ iss: issuer, prompt: "none" }));
  }, []);
  const providers = load.data?.items ?? [];
  const used = last();
  const sorted = [...providers].sort((a, b) => Number(b.id === used) - Number(a.id === used));
  if (issuer) return <Loading what="Signing in" />;
  return (
    <div class="hero">
      <Logo />
      <h1>Your hub's media, all in one place</h1>
      <p class="muted">
        Browse, import and upload media of your hub's Kaltura account. One sign-in, nothing to set up.
      </p>
      {q.get("signed_out") && <Banner tone="good">You are signed out.</Banner>}
      {q.get("erased") && (
        <Banner tone="good">Your data are being erased and you are signed out. Signing in again begins anew.</Banner>
      )}
      {q.get("error") && (
        <Banner tone="error">
          <p>The sign-in did not work. Try again; if it happens again, tell the admin of your hub.</p>
        </Banner>
      )}
      {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
      {!load.data && !load.problem && <Loading />}
      {load.data && providers.length === 0 && (
        <Banner tone="warn">
          <p>
            <strong>Nobody can sign in yet.</strong> This server does not know a spaces platform. Its operator names one
            when it is started: <code>isthmus serve --oidc-issuer ADDRESS --oidc-client-id ID</code>. Further ones can
            then be added by operators. To just look around, start it with <code>--demo</code>.
          </p>
        </Banner>
      )}
      {sorted.length === 1 && (
        <a class="btn primary" href={to({ provider: sorted[0]!.id })}>
          Sign in
        </a>
      )}
      {sorted.length > 1 && (
        <nav aria-label="Where to sign in">
          <p>Where do you have your account?</p>
          <ul class="stack plain" style={{ listStyle: "none", padding: 0 }}>
            {sorted.map((p) => (
              <li key={p.id}>
                <a
                  class={`btn wrap ${p.id === used ? "primary" : ""}`}
                  href={to({ provider: p.id })}
                  onClick={() => remember(p.id)}
                >
                  <span>
                    Sign in with <bdi>{p.name}</bdi>
                    {p.id === used && <span class="small"> (used last)</span>}
                  </span>
                </a>
              </li>
            ))}
          </ul>
        </nav>
      )}
    </div>
  );
}
