// What other sites load: `open()` and <isthmus-media-library>. It shows our own page in a frame and
// passes on what was chosen. It has no dependencies, and is a contract: additive changes only.
import {
  claims,
  type MediaType,
  type PickedItem,
  type PickerTrouble,
  type Theme,
  type ToFrame,
  type ToHost,
  type Wishes,
} from "./protocol";
import css from "./v1.css?inline";

export type { MediaType, PickedItem, PickerTrouble };

/** An access token of the person, or how to get one. It is asked again, with `expired`, when the last one no longer works. */
export type TokenSource = string | ((why: { expired: boolean }) => string | Promise<string>);

export interface OpenOptions {
  token: TokenSource;
  onInsert: (items: PickedItem[]) => void;
  onCancel?: () => void;
  onError?: (error: PickerTrouble) => void;
  client?: string; // the public id of your client; without it the token's own claim is read
  multiple?: boolean;
  types?: MediaType[];
  theme?: Theme;
  label?: string; // the accessible name; "Media library" without it
}

/** An open picker. */
export interface OpenPicker {
  close(): void;
}

const origin = new URL(import.meta.url).origin;
/** From the frame's load event to its answer. Its script has run by then, so that silence means that it was not let in. */
const ANSWER_MS = 5_000;
const LOAD_MS = 30_000;

const knownTypes: readonly string[] = ["video", "image", "audio", "other"];

function trouble(code: string, message: string, next_step: string): PickerTrouble {
  return { code, message, next_step };
}

const sheet = new CSSStyleSheet(); // not a <style>: a host's content policy would refuse it
sheet.replaceSync(css);

/** Ways of an element out of the frame. */
interface Ears {
  insert(items: PickedItem[]): void;
  cancel(): void;
  error(e: PickerTrouble): void;
  ready(): void;
}

/** One frame with the picker in it, from start to stop. */
class Frame {
  readonly iframe = document.createElement("iframe");
  private port?: MessagePort;
  private timer?: ReturnType<typeof setTimeout>;
  private over = false;
  private token = "";
  private asking?: Promise<void>;

  constructor(
    private readonly source: TokenSource,
    private readonly client: string,
    private readonly wishes: Wishes,
    private readonly ears: Ears,
    label: string,
  ) {
    this.iframe.title = label;
    this.iframe.allow = "fullscreen; accelerometer; gyroscope";
    this.iframe.referrerPolicy = "origin";
  }

  async start(into: Node): Promise<void> {
    try {
      this.token = await this.getToken(false);
    } catch (e) {
      return this.fail(e as PickerTrouble);
    }
    const client = this.client || claims(this.token).client_id;
    if (typeof client !== "string" || !client) {
      return this.fail(
        trouble("client_missing", "The picker was not told whose it is.", "Pass your client id as `client`."),
      );
    }
    if (this.over) return;
    this.iframe.src = `${origin}/embed/picker?client=${encodeURIComponent(client)}`;
    this.iframe.addEventListener("load", this.loaded);
    this.wait(LOAD_MS);
    into.appendChild(this.iframe);
  }

  stop(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.port?.close();
    this.iframe.remove();
  }

  // Also after a reload of the frame, which then gets a channel of its own.
  private readonly loaded = () => {
    if (this.over) return;
    this.port?.close();
    const channel = new MessageChannel();
    this.port = channel.port1;
    this.port.onmessage = (e: MessageEvent<ToHost>) => this.hear(e.data);
    this.wait(ANSWER_MS);
    // Delivered only if the frame still shows a page of ours.
    this.iframe.contentWindow?.postMessage({ isthmus: "picker/1", wishes: this.wishes, token: this.token }, origin, [
      channel.port2,
    ]);
  };

  private wait(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.silent(), ms);
  }

  /** Finds out why the frame says nothing: the browser does not tell. */
  private async silent(): Promise<void> {
    let reached = false;
    try {
      reached = (await fetch(import.meta.url, { method: "HEAD", cache: "no-store", credentials: "omit" })).ok;
    } catch {
      // Not reached.
    }
    this.fail(
      reached
        ? trouble(
            "origin_refused",
            "The media library may not be shown on this site.",
            `Register the origin ${location.origin} with the client, and check that the client is not disabled.`,
          )
        : trouble("network", "The media library cannot be reached.", "Check the connection and try again."),
    );
  }

  private hear(m: ToHost): void {
    if (this.over) return;
    if (m.kind === "hello") clearTimeout(this.timer);
    else if (m.kind === "ready") this.ears.ready();
    else if (m.kind === "insert") this.ears.insert(m.items);
    else if (m.kind === "cancel") this.ears.cancel();
    else if (m.kind === "error") this.ears.error(m.error);
    else if (m.kind === "token_needed") this.asking ??= this.renew();
  }

  private async renew(): Promise<void> {
    let answer: ToFrame;
    try {
      this.token = await this.getToken(true);
      answer = { kind: "token", token: this.token };
    } catch (e) {
      answer = { kind: "no_token", message: (e as PickerTrouble).message };
    }
    this.asking = undefined;
    this.port?.postMessage(answer);
  }

  private async getToken(expired: boolean): Promise<string> {
    let token: unknown;
    try {
      token = typeof this.source === "function" ? await this.source({ expired }) : this.source;
    } catch {
      throw trouble("token_failed", "This site could not get an access token.", "Sign in again, then try again.");
    }
    if (typeof token !== "string" || !token || (expired && token === this.token)) {
      throw trouble(
        expired ? "token_expired" : "token_missing",
        expired ? "The access token has expired." : "There is no access token.",
        "Pass `token` as a function that gives a fresh one each time.",
      );
    }
    return token;
  }

  private fail(e: PickerTrouble): void {
    if (this.over) return;
    this.stop();
    this.ears.error(e);
  }
}

/**
 * The library as part of a page. Set `token`, then hear the events `insert` (detail: the items),
 * `cancel` and `error` (detail: code, message, next_step). Attributes: client, multiple, types, theme, label.
 */
export class IsthmusMediaLibrary extends HTMLElement {
  static readonly observedAttributes = ["client", "multiple", "types", "theme", "label"];
  private source?: TokenSource;
  private frame?: Frame;
  private queued = false;
  private readonly root = this.attachShadow({ mode: "open" });
  private readonly note = document.createElement("div");
  /** Part of open(): then there is something to cancel. */
  modal = false;

  constructor() {
    super();
    this.root.adoptedStyleSheets = [sheet];
    this.note.className = "note";
    this.root.append(this.note);
  }

  get token(): TokenSource | undefined {
    return this.source;
  }

  set token(t: TokenSource | undefined) {
    this.source = t;
    this.restart();
  }

  connectedCallback(): void {
    this.restart();
  }

  disconnectedCallback(): void {
    this.frame?.stop();
    this.frame = undefined;
  }

  attributeChangedCallback(_: string, before: string | null, now: string | null): void {
    if (before !== now) this.restart();
  }

  /** Puts the keyboard into the library. */
  override focus(): void {
    this.frame?.iframe.focus();
  }

  /** Begins anew, once for all that changed together. */
  private restart(): void {
    if (this.queued) return;
    this.queued = true;
    queueMicrotask(() => {
      this.queued = false;
      this.frame?.stop();
      this.frame = undefined;
      if (!this.isConnected || this.source === undefined) return;
      this.say("Loading the media library…");
      const types = (this.getAttribute("types") ?? "").split(/[\s,]+/).filter(Boolean);
      const unknown = types.find((t) => !knownTypes.includes(t));
      if (unknown) {
        this.failed(
          trouble("bad_option", `“${unknown}” is no type of media.`, `Use some of ${knownTypes.join(", ")}.`),
        );
        return;
      }
      const theme = this.getAttribute("theme");
      const wishes: Wishes = {
        multiple: this.hasAttribute("multiple"),
        types: types as MediaType[],
        theme: theme === "light" || theme === "dark" ? theme : "auto",
        modal: this.modal,
      };
      const tell = (name: string, detail?: unknown) => this.dispatchEvent(new CustomEvent(name, { detail }));
      this.frame = new Frame(
        this.source,
        this.getAttribute("client") ?? "",
        wishes,
        {
          insert: (items) => tell("insert", items),
          cancel: () => tell("cancel"),
          error: (e) => this.failed(e),
          ready: () => {
            this.note.hidden = true;
            if (this.modal) this.focus();
          },
        },
        this.getAttribute("label") || "Media library",
      );
      void this.frame.start(this.root);
    });
  }

  private say(text: string): void {
    const p = document.createElement("p");
    p.textContent = text;
    p.setAttribute("role", "status");
    this.note.replaceChildren(p, this.buttons());
    this.note.hidden = false;
  }

  private failed(e: PickerTrouble): void {
    const p = document.createElement("p");
    const strong = document.createElement("strong");
    strong.textContent = e.message;
    p.append(strong, ` ${e.next_step}`);
    p.setAttribute("role", "alert");
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Try again";
    again.onclick = () => this.restart();
    const row = this.buttons();
    row.prepend(again);
    this.note.replaceChildren(p, row);
    this.note.hidden = false;
    if (this.modal) again.focus();
    this.dispatchEvent(new CustomEvent("error", { detail: e }));
  }

  private buttons(): HTMLElement {
    const row = document.createElement("div");
    row.className = "row";
    if (this.modal) {
      const close = document.createElement("button");
      close.type = "button";
      close.textContent = "Cancel";
      close.onclick = () => this.dispatchEvent(new CustomEvent("cancel"));
      row.append(close);
    }
    return row;
  }
}

if (!customElements.get("isthmus-media-library")) customElements.define("isthmus-media-library", IsthmusMediaLibrary);

let current: OpenPicker | undefined;

/** Shows the library in a dialog until something was inserted or the person cancelled. A second call while one is open gives that one. */
export function open(o: OpenOptions): OpenPicker {
  if (current) return current;
  const opener = document.activeElement as HTMLElement | null;
  const label = o.label || "Media library";
  const holder = document.createElement("div");
  holder.style.display = "contents";
  const root = holder.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", label);
  if (o.theme) holder.setAttribute("theme", o.theme);
  const library = document.createElement("isthmus-media-library") as IsthmusMediaLibrary;
  library.modal = true;
  for (const [name, value] of [
    ["client", o.client],
    ["theme", o.theme],
    ["label", label],
    ["types", o.types?.join(" ")],
    ["multiple", o.multiple ? "" : undefined],
  ] as const) {
    if (value !== undefined) library.setAttribute(name, value);
  }
  library.token = o.token ?? "";
  const close = () => {
    if (current !== picker) return;
    current = undefined;
    dialog.close();
    holder.remove();
    opener?.focus?.();
  };
  const picker: OpenPicker = { close };
  const cancel = () => {
    close();
    o.onCancel?.();
  };
  library.addEventListener("insert", (e) => {
    close();
    o.onInsert((e as CustomEvent<PickedItem[]>).detail);
  });
  library.addEventListener("cancel", cancel);
  library.addEventListener("error", (e) => o.onError?.((e as Event as CustomEvent<PickerTrouble>).detail));
  dialog.addEventListener("cancel", (e) => {
    e.preventDefault();
    cancel();
  });
  dialog.append(library);
  root.append(dialog);
  document.body.append(holder);
  current = picker;
  dialog.showModal();
  return picker;
}
