import "../styles/base.css";
import "../styles/shell.css";
import "../styles/parts.css";
import "./picker.css";
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useBearer } from "../access";
import { announce, announcement, toast } from "../announce";
import { Problem } from "../api";
import { count } from "../format";
import { type Choice, choiceKey, type Picking, PickingContext } from "../library/pick";
import { LibraryView } from "../library/view";
import { keepInMemory } from "../router";
import { hubs, loadMe, me, meProblem } from "../session";
import { Act, Loading, ProblemBanner } from "../ui/parts";
import { allowedOrigins, Host, isHello } from "./host";
import { pickedItems } from "./insert";
import { claims, type Hello, type Wishes } from "./protocol";

/** Most that can be chosen at once: the host is given addresses of each. */
const MOST = 50;

const noLonger = new Problem({
  status: 401,
  code: "token_refused",
  detail: "The access token no longer works.",
  next_step: "Close the library and open it again.",
});

const root = document.getElementById("picker")!;
const allowed = allowedOrigins(document);
const client = new URLSearchParams(location.search).get("client") ?? "";

const alone = window.parent === window;
render(
  alone ? (
    <div class="hero">
      <h1>This page is part of another one</h1>
      <p class="muted">The media library is shown here inside the site that uses it. Open it from there.</p>
    </div>
  ) : (
    <Loading what="Loading the media library" />
  ),
  root,
);

let host: Host | undefined;
// Only the page around, only from an origin that is registered with the client, only once per load.
addEventListener("message", (e) => {
  if (host || alone || e.source !== window.parent || !allowed.includes(e.origin)) return;
  const port = e.ports[0];
  if (!isHello(e.data) || !port) return;
  host = new Host(e.data.token, port);
  host.tell({ kind: "hello" });
  void begin(host, e.data);
});

async function begin(host: Host, { wishes, token }: Hello): Promise<void> {
  const theme = wishes.theme === "light" || wishes.theme === "dark" ? wishes.theme : "";
  if (theme) document.documentElement.dataset.theme = theme;
  const owner = claims(token).client_id;
  const refuse = (p: Problem) =>
    host.tell({ kind: "error", error: { code: p.code, message: p.message, next_step: p.nextStep } });
  if (typeof owner === "string" && owner !== client) {
    refuse(
      new Problem({
        code: "token_of_another_client",
        detail: "The access token belongs to another client than the one named.",
        next_step: "Pass a token that was given to this very client.",
      }),
    );
    return;
  }
  useBearer(host);
  keepInMemory("/");
  await loadMe();
  const id = hubs.value[0]?.id;
  if (!id) {
    refuse(
      meProblem.value ??
        new Problem({
          code: "token_refused",
          detail: "The access token was refused.",
          next_step: "Get a fresh one; it must be of a person or client in a hub.",
        }),
    );
    return;
  }
  keepInMemory(`/hubs/${id}/library`);
  render(<Picker hub={id} host={host} wishes={wishes} />, root);
  host.tell({ kind: "ready" });
}

function Picker({ hub, host, wishes }: { hub: string; host: Host; wishes: Wishes }) {
  const [chosen, setChosen] = useState<ReadonlyMap<string, Choice>>(new Map());
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => keepWithin(() => wishes.modal && host.tell({ kind: "cancel" })), []);
  const picking = useMemo<Picking>(
    () => ({
      types: wishes.types,
      multiple: wishes.multiple,
      chosen,
      toggle: (c) => {
        const key = choiceKey(c);
        const now = new Map(wishes.multiple ? chosen : []);
        if (chosen.has(key)) now.delete(key);
        else if (now.size < MOST) now.set(key, c);
        else {
          announce(`No more than ${MOST} can be selected.`);
          return;
        }
        setProblem(undefined);
        setChosen(now);
        announce(`${count(now.size, "item")} selected`);
      },
    }),
    [chosen],
  );
  const insert = async () => {
    setProblem(undefined);
    const items = await pickedItems(hub, [...chosen.values()]);
    host.tell({ kind: "insert", items });
    setChosen(new Map());
  };
  return (
    <PickingContext.Provider value={picking}>
      <div class="picker">
        <main class="main" id="main" tabIndex={-1} aria-label="Media library">
          {me.value === null ? <ProblemBanner problem={noLonger} /> : <LibraryView hub={hub} />}
        </main>
        <section class="picker-bar" aria-label="Selection">
          {problem && <ProblemBanner problem={problem} />}
          <p class="grow" data-testid="chosen">
            {chosen.size === 0 ? "Nothing selected" : `${count(chosen.size, "item")} selected`}
          </p>
          {chosen.size > 0 && (
            <button type="button" class="btn" onClick={() => setChosen(new Map())}>
              Clear
            </button>
          )}
          {wishes.modal && (
            <button type="button" class="btn" onClick={() => host.tell({ kind: "cancel" })}>
              Cancel
            </button>
          )}
          <Act kind="primary" icon="check" disabled={chosen.size === 0} do={insert} failed={setProblem}>
            Insert
          </Act>
        </section>
        <div class="visually-hidden" role="status" aria-live="polite">
          {announcement}
        </div>
        <div class="toasts" aria-hidden="true">
          {toast.value && <div class="toast">{toast.value.text}</div>}
        </div>
      </div>
    </PickingContext.Provider>
  );
}

/** Keeps links from leaving the frame, Escape for the host, and puts the keyboard into the search field at first. */
function keepWithin(leave: () => void): () => void {
  const keys = (e: KeyboardEvent) => {
    if (e.key !== "Escape" || e.defaultPrevented || document.querySelector("dialog[open]")) return;
    // Escape empties a search field first.
    if (e.target instanceof HTMLInputElement && e.target.type === "search" && e.target.value) return;
    leave();
  };
  const follow = (e: MouseEvent) => {
    const a = (e.target as Element | null)?.closest?.<HTMLAnchorElement>("a[href]");
    if (!a) return;
    a.target = "_blank";
    a.rel = "noopener noreferrer";
  };
  const arrive = () => {
    if (document.activeElement === document.body) document.querySelector<HTMLElement>("input[type=search]")?.focus();
  };
  document.addEventListener("keydown", keys);
  document.addEventListener("click", follow, true);
  addEventListener("focus", arrive, { once: true });
  return () => {
    document.removeEventListener("keydown", keys);
    document.removeEventListener("click", follow, true);
    removeEventListener("focus", arrive);
  };
}
