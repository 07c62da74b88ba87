import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { me } from "../session";
import { PagesNav } from "../ui/settings-nav";

const pages: [string, string][] = [
  ["/operator", "Hubs"],
  ["/operator/apps", "Apps"],
  ["/operator/identity-providers", "Identity providers"],
  ["/operator/operators", "Operators"],
];

/** What the pages of operators have in common; everybody else is told who may see them. */
export function OperatorPage({ title, children }: { title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Operator · Isthmus`;
  }, [title]);
  return (
    <div class="stack narrow">
      <nav aria-label="You are here">
        <ol class="crumbs">
          <li>Operator</li>
          <li>{title}</li>
        </ol>
      </nav>
      {me.value?.operator && <PagesNav label="Operator" pages={pages} />}
      <h1>{title}</h1>
      {me.value?.operator ? (
        children
      ) : (
        <div class="card stack-s">
          <h2>Only operators of this installation can see this</h2>
          <p class="muted">
            Ask an operator to name you as one. On a new installation, run <code>isthmus setup</code> and enter the code
            it prints under <a href="/setup">Set up</a>.
          </p>
        </div>
      )}
    </div>
  );
}
