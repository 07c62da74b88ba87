import type { ComponentChildren } from "preact";
import { CopyButton } from "./parts";

/** One piece of work in a list: what it is, how it goes in words, what can be done with it, how far it is. */
export function WorkRow(p: {
  name: ComponentChildren;
  badges?: ComponentChildren;
  state: ComponentChildren;
  bad?: boolean;
  more?: ComponentChildren;
  acts?: ComponentChildren;
  far?: number; // 0..1; absent: no bar
  farLabel?: string;
  data: Record<`data-${string}`, string>;
}) {
  return (
    <li class="upload" {...p.data}>
      <div class="grow">
        <p class="file row">
          <bdi>{p.name}</bdi>
          {p.badges}
        </p>
        <p class={`state tabular ${p.bad ? "bad" : ""}`}>{p.state}</p>
        {p.more}
      </div>
      <div class="acts">{p.acts}</div>
      {p.far !== undefined && <progress class="bar" max={1} value={p.far} aria-label={p.farLabel} />}
    </li>
  );
}

/** What somebody who helps asks for after a failure. */
export function Codes({ code, traceId }: { code: string; traceId?: string }) {
  return (
    <p class="row small muted">
      <span>
        Code: <code>{code}</code>
      </span>
      {traceId && (
        <>
          <span class="wrap">
            Trace id: <code>{traceId}</code>
          </span>
          <CopyButton text={traceId} label="Copy trace id" />
        </>
      )}
    </p>
  );
}
