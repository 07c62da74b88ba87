import { useEffect } from "preact/hooks";
import { here } from "../router";
import { signInAddress } from "../session";
import { Logo } from "../ui/icons";
import { Banner } from "../ui/parts";

export default function SignIn() {
  const q = here.value.searchParams;
  useEffect(() => {
    document.title = "Sign in · Isthmus";
  }, []);
  return (
    <div class="hero">
      <Logo />
      <h1>Your hub's media, all in one place</h1>
      <p class="muted">
        Browse, import and upload media of your hub's Kaltura account. One sign-in, nothing to set up.
      </p>
      {q.get("signed_out") && <Banner tone="good">You are signed out.</Banner>}
      {q.get("error") && (
        <Banner tone="error">
          <p>The sign-in did not work. Try again; if it happens again, tell the admin of your hub.</p>
        </Banner>
      )}
      <a class="btn primary" href={signInAddress()}>
        Sign in
      </a>
    </div>
  );
}
