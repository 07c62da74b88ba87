// A router of a few lines: pages are addresses, links are plain <a href>, this only spares the reload.
import { signal } from "@preact/signals";

/** What the address bar says. */
export const here = signal(new URL("http://localhost/"));

/** Paths that the server answers itself; links to them are followed by the browser. */
const serverOwned = /^\/(auth|v1|oauth2|demo-idp|kaltura|files|play|thumbs|\.well-known)(\/|$)/;

export type Params = Record<string, string>;

/** Matches a path against a pattern like `/hubs/:hub/library`; null when it does not fit. */
export function match(pattern: string, path: string): Params | null {
  const want = pattern.split("/");
  const have = path.replace(/(.)\/+$/, "$1").split("/");
  if (want.length !== have.length) return null;
  const params: Params = {};
  for (const [i, part] of want.entries()) {
    const value = have[i]!;
    if (part.startsWith(":")) {
      if (value === "") return null;
      try {
        params[part.slice(1)] = decodeURIComponent(value);
      } catch {
        return null;
      }
    } else if (part !== value) return null;
  }
  return params;
}

let inMemory = false;
/** Begins at an address that the browser is not told of: in a frame, the history is the page's around it. */
export function keepInMemory(start: string): void {
  inMemory = true;
  here.value = new URL(start, location.origin);
}

/** Goes to an address of ours. `replace` keeps it out of the history, for filters and redirects. */
export function navigate(to: string, replace = false): void {
  if (inMemory) {
    here.value = new URL(to, here.peek());
    return;
  }
  const url = new URL(to, location.href);
  if (url.href === location.href) return;
  history[replace ? "replaceState" : "pushState"](null, "", url);
  here.value = url;
}

function followed(e: MouseEvent): HTMLAnchorElement | null {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return null;
  const a = (e.target as Element | null)?.closest?.("a[href]") as HTMLAnchorElement | null;
  if (!a || a.target || a.hasAttribute("download") || a.origin !== location.origin) return null;
  if (serverOwned.test(a.pathname) || a.getAttribute("href")!.startsWith("#")) return null;
  return a;
}

/** Begins to follow links and the back button. */
export function startRouter(): void {
  here.value = new URL(location.href);
  addEventListener("popstate", () => {
    here.value = new URL(location.href);
  });
  document.addEventListener("click", (e) => {
    const a = followed(e);
    if (!a) return;
    e.preventDefault();
    navigate(a.href);
    scrollTo(0, 0);
    // As after a real page change, reading and tabbing go on at the content.
    document.getElementById("main")?.focus({ preventScroll: true });
  });
}
