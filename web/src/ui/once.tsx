import { type ComponentChildren, Fragment } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Banner, CopyButton } from "./parts";

/** Something that was just made. What has `copy`, the word for its button, is to be taken along. */
export interface Made {
  label: string;
  text: string;
  copy?: string;
  testid?: string;
}

/**
 * Shows what is shown this once, such as a secret. The focus goes to it, so that nobody misses it,
 * and it stays until the person says that they have it.
 */
export function Once(p: {
  title: ComponentChildren;
  made: Made[];
  done: () => void;
  card?: boolean;
  testid?: string;
  children?: ComponentChildren; // instead of the warning that it is not shown again
}) {
  const id = useId();
  const head = useRef<HTMLElement>(null);
  const secret = p.made.some((m) => m.copy);
  useEffect(() => head.current?.focus(), [p.made.map((m) => m.text).join("\n")]);
  const H = p.card ? "h2" : "h3";
  return (
    <section class={`${p.card ? "card " : ""}stack-s`} aria-labelledby={id} data-testid={p.testid}>
      <H id={id} tabIndex={-1} ref={head as never}>
        {p.title}
      </H>
      <dl class="facts">
        {p.made.map((m) => (
          <Fragment key={m.label}>
            <dt>{m.label}</dt>
            <dd class="stack-s">
              <code class="wrap" data-testid={m.testid}>
                {m.text}
              </code>
              {m.copy && (
                <span class="row">
                  <CopyButton text={m.text} label={m.copy} />
                </span>
              )}
            </dd>
          </Fragment>
        ))}
      </dl>
      {p.children ??
        (secret && (
          <Banner tone="warn">
            <p>Copy the secret now and keep it safe: it is never shown again.</p>
          </Banner>
        ))}
      <div class="row">
        <button type="button" class="btn small" onClick={p.done}>
          {secret ? "I have copied it" : "Close"}
        </button>
      </div>
    </section>
  );
}
