import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { say } from "../announce";
import { asProblem, type Problem } from "../api";
import { Icon, type IconName } from "./icons";

type Tone = "error" | "warn" | "good" | "info";
const toneIcon: Record<Tone, IconName> = { error: "error", warn: "warn", good: "check", info: "info" };

/** A message that stays. Errors are read out at once, the rest when there is time. */
export function Banner(p: { tone: Tone; children: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class={`banner ${p.tone}`} role={p.tone === "error" ? "alert" : p.tone === "info" ? undefined : "status"}>
      <Icon name={toneIcon[p.tone]} />
      <div class="grow stack-s">{p.children}</div>
      {p.action}
    </div>
  );
}

/** A problem with its next step, and a way to try again where that helps. */
export function ProblemBanner({
  problem,
  retry,
  action,
}: {
  problem: Problem;
  retry?: () => void;
  action?: ComponentChildren;
}) {
  return (
    <Banner
      tone="error"
      action={
        action ??
        (retry && (
          <button type="button" class="btn small" onClick={retry}>
            <Icon name="retry" size={16} /> Try again
          </button>
        ))
      }
    >
      <p>
        <strong>{problem.message}</strong> {problem.nextStep}
      </p>
      {problem.traceId && problem.status >= 500 && (
        <p class="small muted">
          Trace id: <code>{problem.traceId}</code>
        </p>
      )}
    </Banner>
  );
}

/** A button that shows that its work is under way, and cannot be pressed twice. */
export function Act(
  p: {
    do: () => Promise<unknown>;
    failed?: (p: Problem) => void;
    kind?: "primary" | "danger";
    small?: boolean;
    icon?: IconName;
    children: ComponentChildren;
  } & Partial<Pick<ButtonHTMLAttributes<HTMLButtonElement>, "disabled" | "aria-label" | "title">>,
) {
  const [busy, setBusy] = useState(false);
  const alive = useRef(true);
  useEffect(
    () => () => {
      alive.current = false;
    },
    [],
  );
  const run = async () => {
    if (busy) return;
    setBusy(true);
    try {
      await p.do();
    } catch (e) {
      const problem = asProblem(e);
      if (p.failed) p.failed(problem);
      else say(`${problem.message} ${problem.nextStep}`);
    } finally {
      if (alive.current) setBusy(false);
    }
  };
  return (
    <button
      type="button"
      class={`btn ${p.kind ?? ""} ${p.small ? "small" : ""}`}
      onClick={run}
      disabled={p.disabled}
      aria-disabled={busy || undefined}
      aria-label={p["aria-label"]}
      title={p.title}
    >
      {busy ? <span class="spin" /> : p.icon && <Icon name={p.icon} size={p.small ? 16 : 18} />}
      {p.children}
    </button>
  );
}

/** A modal dialog: Escape and the cross close it, focus goes back to where it was. */
export function Dialog(p: {
  title: ComponentChildren;
  close: () => void;
  slim?: boolean;
  /** A click beside it does nothing: what it holds would be lost. */
  firm?: boolean;
  children: ComponentChildren;
  foot?: ComponentChildren;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const title = useId();
  useEffect(() => {
    const d = ref.current!;
    const opener = document.activeElement as HTMLElement | null;
    d.showModal();
    return () => {
      d.close();
      opener?.focus?.();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click beside the dialog; Escape is the key for it
    <dialog
      ref={ref}
      class={p.slim ? "slim" : ""}
      aria-labelledby={title}
      onCancel={(e) => {
        e.preventDefault();
        p.close();
      }}
      onClick={(e) => {
        if (!p.firm && e.target === ref.current) p.close();
      }}
    >
      <div class="dialog-head">
        <h2 id={title} class="wrap">
          {p.title}
        </h2>
        <button type="button" class="btn icon" aria-label="Close" onClick={p.close}>
          <Icon name="close" />
        </button>
      </div>
      <div class="dialog-body">{p.children}</div>
      {p.foot && <div class="dialog-foot">{p.foot}</div>}
    </dialog>
  );
}

interface FieldProps {
  label: string;
  value: string;
  set: (value: string) => void;
  hint?: ComponentChildren;
  problem?: string;
  type?: "text" | "url" | "password";
  name?: string;
  placeholder?: string;
  inputMode?: "numeric" | "url";
  required?: boolean;
  maxLength?: number;
}

/** A labelled input with help and the problem found in it. Nothing here is for a password manager. */
export function Field({ label, hint, problem, set, type = "text", ...rest }: FieldProps) {
  const id = useId();
  const described = [hint && `${id}-h`, problem && `${id}-p`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        class="input"
        id={id}
        type={type as "text"}
        autocomplete="off"
        spellcheck={false}
        aria-describedby={described || undefined}
        aria-invalid={problem ? "true" : undefined}
        onInput={(e) => set(e.currentTarget.value)}
        {...rest}
      />
      {hint && (
        <span class="hint" id={`${id}-h`}>
          {hint}
        </span>
      )}
      {problem && (
        <span class="problem" id={`${id}-p`}>
          {problem}
        </span>
      )}
    </div>
  );
}

/** A labelled text of several lines, for lists and keys. */
export function Area(p: {
  label: string;
  value: string;
  set: (text: string) => void;
  hint?: ComponentChildren;
  problem?: string;
  placeholder?: string;
  rows?: number;
  maxLength?: number;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{p.label}</label>
      <textarea
        class="input area"
        id={id}
        rows={p.rows ?? 3}
        maxLength={p.maxLength}
        spellcheck={false}
        autocomplete="off"
        value={p.value}
        placeholder={p.placeholder}
        aria-describedby={[p.hint && `${id}-h`, p.problem && `${id}-p`].filter(Boolean).join(" ") || undefined}
        aria-invalid={p.problem ? "true" : undefined}
        onInput={(e) => p.set(e.currentTarget.value)}
      />
      {p.hint && (
        <span class="hint" id={`${id}-h`}>
          {p.hint}
        </span>
      )}
      {p.problem && (
        <span class="problem" id={`${id}-p`}>
          {p.problem}
        </span>
      )}
    </div>
  );
}

/** Copies a text and says so. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  return (
    <button
      type="button"
      class="btn small"
      onClick={async () => {
        try {
          await navigator.clipboard.writeText(text);
          say("Copied.");
        } catch {
          say("The browser did not allow copying: select the text and copy it by hand.");
        }
      }}
    >
      <Icon name="copy" size={16} /> {label}
    </button>
  );
}

export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <p class="row muted" role="status">
      <span class="spin" /> {what}…
    </p>
  );
}

/** Fetches on mount and when `deps` change; answers of an older question are dropped. */
export function useLoad<T>(
  ask: () => Promise<T>,
  deps: unknown[],
): { data?: T; problem?: Problem; again: () => void; set: (t: T) => void } {
  const [state, setState] = useState<{ data?: T; problem?: Problem }>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let stale = false;
    ask().then(
      (data) => !stale && setState({ data }),
      (e) => !stale && setState((s) => ({ ...s, problem: asProblem(e) })),
    );
    return () => {
      stale = true;
    };
  }, [...deps, turn]);
  return { ...state, again: () => setTurn((t) => t + 1), set: (data) => setState({ data }) };
}
