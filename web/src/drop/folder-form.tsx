import { useRef, useState } from "preact/hooks";
import { announce } from "../announce";
import { api, asProblem, call, type Hub, idempotencyKey, type Problem } from "../api";
import { Act, Banner, Dialog, ProblemBanner } from "../ui/parts";
import { TestResult } from "./folder-card";
import { Basics, Deleting, Entries, type FieldsProps, Limits, Matching, Reading } from "./folder-parts";
import {
  checkDraft,
  clashes,
  type Draft,
  type DraftProblems,
  draftOf,
  draftProblems,
  fresh,
  inputOf,
  labels,
  patchOf,
  rebased,
} from "./form";
import type { DropFolder, DropFolderOptions, DropFolderTest } from "./types";

/** Makes a folder, or changes one. A name is enough; all the rest has its place below. */
export function FolderForm(p: {
  hub: Hub;
  folder?: DropFolder;
  options?: DropFolderOptions;
  close: () => void;
  saved: (f: DropFolder) => void;
}) {
  const [folder, setFolder] = useState(p.folder);
  const [d, setDraft] = useState<Draft>(() => (p.folder ? draftOf(p.folder) : fresh));
  const [problems, setProblems] = useState<DraftProblems>({});
  const [problem, setProblem] = useState<Problem>();
  const [clash, setClash] = useState<ReturnType<typeof clashes>>();
  const [test, setTest] = useState<DropFolderTest>();
  const key = useRef(idempotencyKey());
  const body = useRef<HTMLDivElement>(null);
  const set = (change: Partial<Draft>) => {
    setDraft({ ...d, ...change });
    setProblems({});
    key.current = idempotencyKey();
  };
  const hub = p.hub.id;
  const fine = () => {
    setProblem(undefined);
    const found = checkDraft(d, folder?.has_bucket_secret);
    mark(found);
    return Object.keys(found).length === 0;
  };
  const mark = (found: DraftProblems) => {
    setProblems(found);
    if (Object.keys(found).length === 0) return;
    announce(
      `Nothing was saved. ${Object.entries(found)
        .map(([k, v]) => `${labels[k as keyof Draft]}: ${v}`)
        .join(" ")}`,
    );
    // What is marked may be in a part that is closed.
    setTimeout(() => {
      const first = body.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
      const part = first?.closest("details");
      if (part) part.open = true;
      first?.focus();
    });
  };
  const save = async () => {
    if (!fine()) return;
    if (!folder) {
      p.saved(
        await call(
          api.POST("/v1/hubs/{hub}/drop-folders", {
            params: { path: { hub }, header: { "Idempotency-Key": key.current } },
            body: inputOf(d),
          }),
        ),
      );
      return;
    }
    const path = { hub, id: folder.id };
    try {
      p.saved(
        await call(
          api.PATCH("/v1/hubs/{hub}/drop-folders/{id}", {
            params: { path, header: { "If-Match": folder.etag } },
            headers: { "Content-Type": "application/merge-patch+json" },
            body: patchOf(d, folder),
          }),
        ),
      );
    } catch (e) {
      if (asProblem(e).status !== 412) throw e;
      // Somebody else was faster: theirs is what holds, our changes stay in the form on top of it.
      const theirs = await call(api.GET("/v1/hubs/{hub}/drop-folders/{id}", { params: { path } }));
      setClash(clashes(d, folder, theirs));
      setDraft(rebased(d, folder, theirs));
      setFolder(theirs);
    }
  };
  const tryIt = async () => {
    if (!fine()) return;
    const header = { "Idempotency-Key": idempotencyKey() };
    const t = folder
      ? await call(
          api.POST("/v1/hubs/{hub}/drop-folders/{id}/test", {
            params: { path: { hub, id: folder.id }, header },
            body: patchOf(d, folder),
          }),
        )
      : await call(
          api.POST("/v1/hubs/{hub}/drop-folders/test", { params: { path: { hub }, header }, body: inputOf(d) }),
        );
    setTest(t);
    announce(t.ok ? "It works." : "It does not work: look at what is marked.");
  };
  const failed = (e: Problem) => {
    setProblem(e);
    mark(draftProblems(e));
  };
  const fields: FieldsProps = { d, set, problems, folder };
  return (
    <Dialog
      title={p.folder ? `Edit ${p.folder.name}` : "New drop folder"}
      close={p.close}
      firm
      foot={
        <>
          <button type="button" class="btn" onClick={p.close}>
            Cancel
          </button>
          <Act do={tryIt} failed={failed}>
            Test it
          </Act>
          <Act kind="primary" do={save} failed={failed}>
            {clash ? "Save mine" : p.folder ? "Save folder" : "Make folder"}
          </Act>
        </>
      }
    >
      <div class="stack" ref={body}>
        {problem && <ProblemBanner problem={problem} />}
        {clash && folder && (
          <Clash
            list={clash}
            take={() => {
              setClash(undefined);
              setDraft(draftOf(folder));
            }}
          />
        )}
        <Basics {...fields} admin={p.hub.role === "admin"} options={p.options} />
        <Reading {...fields} />
        <Matching {...fields} />
        <Entries {...fields} hub={hub} />
        {d.source !== "uploads" && <Deleting {...fields} />}
        <Limits {...fields} />
        {test && <TestResult test={test} close={() => setTest(undefined)} />}
      </div>
    </Dialog>
  );
}

function Clash({ list, take }: { list: ReturnType<typeof clashes>; take: () => void }) {
  return (
    <Banner
      tone="error"
      action={
        <button type="button" class="btn small" onClick={take}>
          Take theirs
        </button>
      }
    >
      <p>
        <strong>Somebody else saved meanwhile.</strong> Your changes are still in the form and not saved; everything
        else there is as they saved it.
      </p>
      {list.length > 0 && (
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Setting</th>
              <th scope="col">Theirs, saved</th>
              <th scope="col">Yours</th>
            </tr>
          </thead>
          <tbody>
            {list.map((x) => (
              <tr key={x.name}>
                <td data-label="Setting">{x.name}</td>
                <td data-label="Theirs, saved">{x.theirs}</td>
                <td data-label="Yours">{x.mine}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Banner>
  );
}
