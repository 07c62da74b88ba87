import { useState } from "preact/hooks";
import { asProblem, type Problem } from "../api";
import type { components } from "../api.gen";
import { Act, Banner, Dialog, Field, Loading, ProblemBanner, useLoad } from "./parts";

type Preview = components["schemas"]["ErasurePreview"];

const fates: Record<string, string> = {
  deleted: "Deleted",
  pseudonymised: "Kept without your name",
  kept: "Kept",
};

/** Says what erasing deletes and what stays and why, and wants the address typed before it does it. */
export function EraseDialog(p: {
  title: string;
  preview: () => Promise<Preview>;
  erase: (confirm: string) => Promise<unknown>;
  done: () => void;
  close: () => void;
}) {
  const load = useLoad(p.preview, []);
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const want = load.data?.confirm ?? "";
  const right = want !== "" && typed.trim().toLowerCase() === want.toLowerCase();
  return (
    <Dialog
      title={p.title}
      close={p.close}
      foot={
        <>
          <button type="button" class="btn" onClick={p.close}>
            Keep everything
          </button>
          <Act
            kind="danger"
            disabled={!right}
            do={async () => {
              setProblem(undefined);
              await p.erase(typed);
              p.done();
            }}
            failed={(e) => setProblem(asProblem(e))}
          >
            Erase for good
          </Act>
        </>
      }
    >
      <div class="stack">
        {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
        {!load.data && !load.problem && <Loading />}
        {load.data && (
          <>
            <dl class="facts">
              {load.data.items.map((i) => (
                <>
                  <dt>
                    {fates[i.fate] ?? i.fate}
                    {i.count !== undefined && <span class="muted"> ({i.count})</span>}
                  </dt>
                  <dd>{i.text}</dd>
                </>
              ))}
            </dl>
            <Banner tone="warn">
              <p>This cannot be taken back. Media in Kaltura stay.</p>
            </Banner>
            <Field label={`Type ${want} to confirm`} value={typed} set={setTyped} />
            {problem && <ProblemBanner problem={problem} />}
          </>
        )}
      </div>
    </Dialog>
  );
}
