import { useState } from "preact/hooks";
import { say } from "../announce";
import { api, call, idempotencyKey, type Problem } from "../api";
import { count, when } from "../format";
import { useSettled } from "../kaltura/mappings";
import { Act, Banner, Dialog, Field, Loading, ProblemBanner, useLoad } from "../ui/parts";
import type { Desk } from "./acts";
import { Tick } from "./fields";
import { ProfileField } from "./profile";
import type { DropFile } from "./types";

/** Deletes a file, after showing what goes with it. */
export function DeleteFile({ f, desk, close }: { f: DropFile; desk: Desk; close: () => void }) {
  const path = { hub: desk.hub, id: f.id };
  const load = useLoad(
    () => call(api.GET("/v1/hubs/{hub}/drop-folders/files/{id}/deletion", { params: { path } })),
    [f.id],
  );
  const [entry, setEntry] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const plan = load.data;
  const remove = async () => {
    setProblem(undefined);
    const now = await call(
      api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/delete", {
        params: { path, header: { "Idempotency-Key": idempotencyKey() } },
        body: { entry },
      }),
    );
    desk.changed(now);
    desk.deleted([{ id: f.id, name: f.name, until: now.undo_until }]);
    close();
  };
  return (
    <Dialog
      slim
      title={`Delete ${f.name}?`}
      close={close}
      foot={
        <>
          <button type="button" class="btn" onClick={close}>
            Keep it
          </button>
          <Act kind="danger" disabled={!plan || !!plan.blocked} do={remove} failed={setProblem}>
            {entry ? "Delete file and entry" : "Delete the file"}
          </Act>
        </>
      }
    >
      <div class="stack">
        {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
        {problem && <ProblemBanner problem={problem} />}
        {!plan && !load.problem && <Loading what="Looking what would go with it" />}
        {plan?.blocked && (
          <Banner tone="warn">
            <p>
              <strong>{plan.blocked.message}</strong> {plan.blocked.next_step}
            </p>
          </Banner>
        )}
        {plan && !plan.blocked && (
          <>
            <ul class="bullets">
              <li>
                {plan.in_source ? "The file goes from where it lies." : "The file's record and its bytes here go."}
              </li>
              {plan.entry_id && !entry && <li>The entry “{plan.entry_name || plan.entry_id}” stays.</li>}
              {plan.entry_id && entry && (
                <>
                  <li>
                    The entry “{plan.entry_name || plan.entry_id}” goes from Kaltura, with its statistics and links.
                  </li>
                  {plan.items > 0 && (
                    <li>{count(plan.items, "item")} of the library stream from it and stop playing.</li>
                  )}
                  {plan.others > 0 && (
                    <li>{count(plan.others, "other file")} of drop folders became the same entry.</li>
                  )}
                  {plan.copies > 0 && <li>{count(plan.copies, "item")} of the library with their own bytes stay.</li>}
                </>
              )}
            </ul>
            {plan.entry_id && <Tick label="Delete the entry, too" on={entry} set={setEntry} />}
            {plan.undo_until && <p class="muted">It can be taken back until {when(plan.undo_until)}.</p>}
          </>
        )}
      </div>
    </Dialog>
  );
}

/** Imports a file once more, with another conversion profile. */
export function Reprocess({ f, desk, close }: { f: DropFile; desk: Desk; close: () => void }) {
  const [profile, setProfile] = useState(f.conversion_profile_id ? String(f.conversion_profile_id) : "");
  const [problem, setProblem] = useState<Problem>();
  const wrong = profile.trim() && !/^\d{1,10}$/.test(profile.trim()) ? "A number, or empty." : undefined;
  return (
    <Dialog
      slim
      title={`Reprocess ${f.name}`}
      close={close}
      foot={
        <Act
          kind="primary"
          disabled={!!wrong}
          do={async () => {
            setProblem(undefined);
            const now = await call(
              api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/reprocess", {
                params: { path: { hub: desk.hub, id: f.id }, header: { "Idempotency-Key": idempotencyKey() } },
                body: { conversion_profile_id: Number(profile.trim() || 0) },
              }),
            );
            say(`${f.name} is imported once more.`);
            desk.changed(now);
            close();
          }}
          failed={setProblem}
        >
          Import it once more
        </Act>
      }
    >
      <div class="stack">
        {problem && <ProblemBanner problem={problem} />}
        <p>
          {f.entry_id
            ? "Its bytes replace the content of the entry that it has become."
            : "It has become no entry yet: one is made."}
        </p>
        <ProfileField hub={desk.hub} value={profile} set={setProfile} problem={wrong} usual="The folder's" />
      </div>
    </Dialog>
  );
}

/** Gives a file to an entry by hand. */
export function Match({ f, desk, close }: { f: DropFile; desk: Desk; close: () => void }) {
  const [q, setQ] = useState(f.reference_id ?? "");
  const asked = useSettled(q.trim());
  const [problem, setProblem] = useState<Problem>();
  const load = useLoad(
    () =>
      call(
        api.GET("/v1/hubs/{hub}/media", {
          params: { path: { hub: desk.hub }, query: { q: asked || undefined, limit: 20 } },
        }),
      ),
    [asked],
  );
  return (
    <Dialog slim title={`Match ${f.name} by hand`} close={close}>
      <div class="stack">
        {problem && <ProblemBanner problem={problem} />}
        <p>The file becomes the content of the entry that you choose. What the entry had is replaced.</p>
        <Field label="Search entries" value={q} set={setQ} maxLength={200} hint="By name, description or tag." />
        {load.problem && <ProblemBanner problem={load.problem} retry={load.again} />}
        {!load.data && !load.problem && <Loading what="Searching" />}
        <p role="status" class="visually-hidden">
          {load.data && `${count(load.data.items.length, "entry", "entries")} found.`}
        </p>
        {load.data?.items.length === 0 && <p class="muted">Nothing like that.</p>}
        {load.data && load.data.items.length > 0 && (
          <ul class="hits" aria-label="Entries">
            {load.data.items.map((m) => (
              <li key={m.id} class="spread">
                <span class="grow">
                  <bdi>{m.name}</bdi>
                  <br />
                  <span class="small muted">
                    {m.id} · {m.type}
                  </span>
                </span>
                <Act
                  small
                  aria-label={`Use ${m.name}`}
                  do={async () => {
                    setProblem(undefined);
                    const now = await call(
                      api.POST("/v1/hubs/{hub}/drop-folders/files/{id}/match", {
                        params: { path: { hub: desk.hub, id: f.id }, header: { "Idempotency-Key": idempotencyKey() } },
                        body: { entry_id: m.id },
                      }),
                    );
                    say(`${f.name} becomes the content of ${m.name}.`);
                    desk.changed(now);
                    close();
                  }}
                  failed={setProblem}
                >
                  Use this
                </Act>
              </li>
            ))}
          </ul>
        )}
      </div>
    </Dialog>
  );
}
