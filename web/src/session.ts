import { computed, signal } from "@preact/signals";
import { api, asProblem, call, type Hub, type Me, onSignedOut, type Problem } from "./api";
import { here } from "./router";

/** undefined = not known yet, null = signed out. */
export const me = signal<Me | null | undefined>(undefined);
/** Set when we could not even ask who we are. */
export const meProblem = signal<Problem | null>(null);

export const hubs = computed<Hub[]>(() => me.value?.hubs ?? []);

/** Whether our token allows it; without a token, by a session, the role alone decides, and the server. */
export const may = (scope: string): boolean => me.value?.scopes?.includes(scope) ?? true;

const chosen = signal<string>(read());
function read(): string {
  try {
    return localStorage.getItem("hub") ?? "";
  } catch {
    return "";
  }
}

/** The hub of the address, or else the one used last. */
export const hub = computed<Hub | undefined>(() => {
  const id = /^\/hubs\/([^/]+)/.exec(here.value.pathname)?.[1] ?? chosen.value;
  return hubs.value.find((h) => h.id === id) ?? hubs.value[0];
});

/** Remembers the hub for the next visit. */
export function rememberHub(id: string): void {
  chosen.value = id;
  try {
    localStorage.setItem("hub", id);
  } catch {
    // Private windows may refuse; then the choice lasts as long as the page.
  }
}

/** Asks who we are. */
export async function loadMe(): Promise<void> {
  meProblem.value = null;
  try {
    me.value = await call(api.GET("/v1/me"));
  } catch (e) {
    const p = asProblem(e);
    if (p.status === 401) me.value = null;
    else meProblem.value = p;
  }
}

export function signInAddress(): string {
  const next = here.value.pathname + here.value.search;
  return `/auth/login?next=${encodeURIComponent(next === "/sign-in" ? "/" : next)}`;
}

onSignedOut(() => {
  me.value = null;
});
