import { useSignalEffect } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { announcement, toast } from "./announce";
import { here, match, navigate, type Params } from "./router";
import { hub, hubs, loadMe, me, meProblem, rememberHub, signInAddress } from "./session";
import { Logo } from "./ui/icons";
import { Loading, ProblemBanner } from "./ui/parts";

export interface PageProps {
  params: Params;
}
type Loader = () => Promise<{ default: ComponentType<PageProps> }>;

interface Route {
  pattern: string;
  load: Loader;
  open?: boolean; // needs no sign-in
  hubless?: boolean; // for people who may be in no hub
}

const notFound: Loader = () => import("./pages/not-found");
const routes: Route[] = [
  { pattern: "/sign-in", load: () => import("./pages/sign-in"), open: true },
  { pattern: "/hubs/:hub/library", load: () => import("./pages/library") },
  { pattern: "/hubs/:hub/transfers", load: () => import("./pages/transfers") },
  { pattern: "/hubs/:hub/drop-folders", load: () => import("./pages/drop-folders") },
  { pattern: "/hubs/:hub/settings/transfers", load: () => import("./pages/bandwidth") },
  { pattern: "/hubs/:hub/settings/integrations/kaltura", load: () => import("./pages/kaltura") },
  { pattern: "/hubs/:hub/settings/apps", load: () => import("./pages/apps") },
  { pattern: "/hubs/:hub/settings/audit", load: () => import("./pages/audit") },
  { pattern: "/setup", load: () => import("./pages/setup"), hubless: true },
  { pattern: "/operator", load: () => import("./pages/operator"), hubless: true },
  { pattern: "/operator/apps", load: () => import("./pages/operator-apps"), hubless: true },
  { pattern: "/operator/identity-providers", load: () => import("./pages/operator-providers"), hubless: true },
  { pattern: "/operator/operators", load: () => import("./pages/operator-operators"), hubless: true },
  { pattern: "/hubs/:hub/settings/people", load: () => import("./pages/people") },
  { pattern: "/account/data", load: () => import("./pages/my-data"), hubless: true },
  { pattern: "/account/integrations", load: () => import("./pages/account") },
  { pattern: "/consent/:request", load: () => import("./pages/consent"), hubless: true },
  { pattern: "/device", load: () => import("./pages/device"), hubless: true },
  { pattern: "/connect/:secret", load: () => import("./pages/connect"), open: true },
];

const signIn = routes[0]!;

/** Addresses that stand for another one. */
function redirect(path: string): string | null {
  const id = hub.value?.id;
  if (path === "/") return id ? `/hubs/${id}/library` : me.value?.operator ? "/operator" : null;
  if (path === "/account") return "/account/integrations";
  const m = match("/hubs/:hub", path);
  if (m) return `/hubs/${m.hub}/library`;
  const s = match("/hubs/:hub/settings", path) ?? match("/hubs/:hub/settings/integrations", path);
  return s ? `/hubs/${s.hub}/settings/integrations/kaltura` : null;
}

export function App() {
  useSignalEffect(() => {
    if (me.value === undefined) return;
    const to = redirect(here.value.pathname);
    if (to) navigate(to, true);
    // Somebody who is signed in has nothing to do on the sign-in page.
    if (me.value && here.value.pathname === "/sign-in") navigate("/", true);
  });
  const path = here.value.pathname;
  let found: { route?: Route; params: Params } = { params: {} };
  for (const route of routes) {
    const params = match(route.pattern, path);
    if (params) found = { route, params };
  }
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <Top />
      <main class="main" id="main" tabIndex={-1}>
        <Content {...found} />
      </main>
      <footer class="foot">Isthmus joins your hub to Kaltura.</footer>
      <div class="visually-hidden" role="status" aria-live="polite">
        {announcement}
      </div>
      <div class="toasts" aria-hidden="true">
        {toast.value && <div class="toast">{toast.value.text}</div>}
      </div>
    </div>
  );
}

function Content({ route, params }: { route?: Route; params: Params }) {
  if (route?.open) return <Page load={route.load} params={params} />;
  if (meProblem.value) return <ProblemBanner problem={meProblem.value} retry={loadMe} />;
  if (me.value === undefined) return <Loading />;
  if (me.value === null) return <Page load={signIn.load} params={{}} />;
  if (hubs.value.length === 0 && !route?.hubless) return <NoHub />;
  if (here.value.pathname === "/") return <Loading />;
  // A hub we are not in looks like one that does not exist.
  if (params.hub && !hubs.value.some((h) => h.id === params.hub)) return <Page load={notFound} params={{}} />;
  return <Page load={route?.load ?? notFound} params={params} />;
}

function NoHub() {
  return (
    <div class="hero">
      <h1>You are in no hub yet</h1>
      <p class="muted">
        Your account is known, but it belongs to no hub. Ask the admin of your hub to invite {me.value?.email}.
      </p>
    </div>
  );
}

function Page({ load, params }: { load: Loader; params: Params }) {
  const [page, setPage] = useState<{ load: Loader; view?: ComponentType<PageProps>; failed?: boolean }>();
  useEffect(() => {
    let stale = false;
    load().then(
      (m) => !stale && setPage({ load, view: m.default }),
      () => !stale && setPage({ load, failed: true }),
    );
    return () => {
      stale = true;
    };
  }, [load]);
  if (!page || page.load !== load) return <Loading />;
  if (page.failed || !page.view) {
    return (
      <div class="hero">
        <h1>This page could not be loaded</h1>
        <p class="muted">The server may have been updated, or your connection is down.</p>
        <button type="button" class="btn primary" onClick={() => location.reload()}>
          Reload
        </button>
      </div>
    );
  }
  // A page keeps nothing of another hub.
  return <page.view key={params.hub ?? ""} params={params} />;
}

/** What people come for: who looks after content sends files, the others look for media. */
function firstPages(role?: string): [string, string][] {
  const pages: [string, string][] = [
    ["library", "Media library"],
    ["transfers", "Transfers"],
  ];
  if (role === "content_admin") pages.reverse();
  if (role === "admin" || role === "content_admin") pages.push(["drop-folders", "Drop folders"]);
  return pages;
}

function Top() {
  const h = hub.value;
  const path = here.value.pathname;
  const current = (p: string) => (path.startsWith(p) ? "page" : undefined);
  return (
    <header class="top">
      <div class="top-in">
        <a class="brand" href="/" aria-label="Isthmus, home">
          <Logo /> Isthmus
        </a>
        {me.value && (
          <>
            {(h || me.value.operator) && (
              <nav class="nav" aria-label="Main">
                {h && (
                  <>
                    {firstPages(h.role).map(([page, name]) => (
                      <a key={page} href={`/hubs/${h.id}/${page}`} aria-current={current(`/hubs/${h.id}/${page}`)}>
                        {name}
                      </a>
                    ))}
                    <a
                      href={`/hubs/${h.id}/settings/integrations/kaltura`}
                      aria-current={current(`/hubs/${h.id}/settings`)}
                    >
                      Hub settings
                    </a>
                    <a href="/account/integrations" aria-current={current("/account")}>
                      Account
                    </a>
                  </>
                )}
                {me.value.operator && (
                  <a href="/operator" aria-current={current("/operator")}>
                    Operator
                  </a>
                )}
              </nav>
            )}
            <div class="who">
              {hubs.value.length > 1 && <HubSwitcher />}
              <Menu />
            </div>
          </>
        )}
        {me.value === null && path !== "/sign-in" && (
          <a class="btn primary small" href={signInAddress()}>
            Sign in
          </a>
        )}
      </div>
    </header>
  );
}

function HubSwitcher() {
  return (
    <select
      aria-label="Hub"
      value={hub.value?.id}
      onChange={(e) => {
        const id = e.currentTarget.value;
        rememberHub(id);
        const rest = /^\/hubs\/[^/]+(\/.*)$/.exec(here.value.pathname)?.[1];
        if (rest) navigate(`/hubs/${id}${rest}`);
      }}
    >
      {hubs.value.map((h) => (
        <option key={h.id} value={h.id}>
          {h.name}
        </option>
      ))}
    </select>
  );
}

function Menu() {
  const [open, setOpen] = useState(false);
  const name = me.value?.name || me.value?.email || "You";
  const initials = name
    .split(/\s+/)
    .slice(0, 2)
    .map((w) => Array.from(w)[0] ?? "")
    .join("")
    .toUpperCase();
  return (
    <details
      class="menu"
      open={open}
      onToggle={(e) => setOpen(e.currentTarget.open)}
      onKeyDown={(e) => e.key === "Escape" && setOpen(false)}
      onFocusOut={(e) => !e.currentTarget.contains(e.relatedTarget as Node | null) && setOpen(false)}
    >
      <summary aria-label={`Account of ${name}`}>{initials}</summary>
      <div class="menu-list">
        <p>
          <strong>
            <bdi>{name}</bdi>
          </strong>
          <br />
          <span class="small muted wrap">{me.value?.email}</span>
        </p>
        <a href="/account/integrations" onClick={() => setOpen(false)}>
          Integrations
        </a>
        <a href="/account/data" onClick={() => setOpen(false)}>
          Your data
        </a>
        <form method="post" action="/auth/logout">
          <button type="submit" class="btn small">
            Sign out
          </button>
        </form>
      </div>
    </details>
  );
}
