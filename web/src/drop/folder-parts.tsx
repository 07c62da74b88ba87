// The parts of a folder's form: what has to be said comes first, the rest is closed until somebody wants it.
import { useId, useMemo, useState } from "preact/hooks";
import { Choice } from "../kaltura/mappings";
import { policyNames } from "../transfer/words";
import { Area, Banner, Field } from "../ui/parts";
import { Tick } from "./fields";
import type { Draft, DraftProblems } from "./form";
import { ProfileField } from "./profile";
import { slugWords, trySlug } from "./slug";
import type { DropFolder, DropFolderOptions } from "./types";
import { deleteNames, handlerNames, handlerWords, matchNames, sourceNames, sourceWords } from "./words";

export type FieldsProps = {
  d: Draft;
  set: (change: Partial<Draft>) => void;
  problems: DraftProblems;
  folder?: DropFolder;
};

const pairs = <T extends string>(names: Record<string, string>) => Object.entries(names) as [T, string][];

export function Basics({
  d,
  set,
  problems,
  folder,
  admin,
  options,
}: FieldsProps & { admin: boolean; options?: DropFolderOptions }) {
  const sources = options?.sources ?? ["uploads"];
  const usable = (["uploads", "directory", "bucket"] as const).filter((s) => sources.includes(s));
  return (
    <>
      <Field
        label="Name"
        value={d.name}
        set={(name) => set({ name })}
        problem={problems.name}
        maxLength={200}
        required
        hint={folder ? undefined : "Enough to begin with: then it takes uploads, and each file becomes an entry."}
      />
      {folder ? (
        <p class="small muted">Way in: {sourceNames[d.source]}. Another one needs another folder.</p>
      ) : usable.length > 1 ? (
        <fieldset class="choices">
          <legend>How files come in</legend>
          {usable.map((s) => (
            <label class="choice" key={s}>
              <input type="radio" name="drop-source" checked={d.source === s} onChange={() => set({ source: s })} />
              <b>{sourceNames[s]}</b>
              <span>{sourceWords[s]}</span>
            </label>
          ))}
        </fieldset>
      ) : (
        <p class="small muted">
          Files are uploaded into it. {!admin && "Watched directories and buckets are made by admins of the hub."}
          {admin &&
            options &&
            !options.directories &&
            "This server has no drop root, so that no directory can be watched."}
        </p>
      )}
      {d.source === "directory" && (
        <>
          <Field
            label="Directory"
            value={d.path}
            set={(path) => set({ path })}
            problem={problems.path}
            maxLength={1000}
            placeholder="newsroom/in"
            hint="Below the hub's part of the server's drop root. Whatever writes there may be used: SFTP, Aspera, a network drive."
          />
          <Completeness d={d} set={set} problems={problems} />
        </>
      )}
      {d.source === "bucket" && (
        <div class="fields">
          <Field
            label="Bucket"
            value={d.bucket}
            set={(bucket) => set({ bucket })}
            problem={problems.bucket}
            maxLength={255}
          />
          <Field
            label="Prefix"
            value={d.path}
            set={(path) => set({ path })}
            problem={problems.path}
            maxLength={1000}
            hint="Empty: the whole bucket."
          />
          <Field
            label="Address of the store"
            type="url"
            value={d.endpoint}
            set={(endpoint) => set({ endpoint })}
            problem={problems.endpoint}
            maxLength={2000}
            hint="Empty: Amazon's of the region."
          />
          <Field
            label="Region"
            value={d.region}
            set={(region) => set({ region })}
            problem={problems.region}
            maxLength={100}
          />
          <Field
            label="Key id"
            value={d.keyId}
            set={(keyId) => set({ keyId })}
            problem={problems.keyId}
            maxLength={300}
          />
          <Field
            label="Secret key"
            type="password"
            value={d.secret}
            set={(secret) => set({ secret })}
            problem={problems.secret}
            maxLength={1000}
            hint={folder?.has_bucket_secret ? "Empty: the one that is saved." : "Kept sealed and never shown."}
          />
          <Tick
            label="The bucket is part of the path, not of the host"
            on={d.pathStyle}
            set={(pathStyle) => set({ pathStyle })}
          />
        </div>
      )}
    </>
  );
}

/** How a file of a directory says that it is whole, with what may go wrong when it cannot. */
function Completeness({ d, set, problems }: FieldsProps) {
  const seconds = d.stable.trim();
  return (
    <fieldset class="bare stack-s">
      <legend class="label">When a file is whole</legend>
      <p class="small muted">Any of these is enough. So is a manifest that names a file with the size that it has.</p>
      <div class="fields">
        <Field
          label="Renamed from a temporary name"
          value={d.rename}
          set={(rename) => set({ rename })}
          problem={problems.rename}
          maxLength={200}
          placeholder="*.part"
          hint="Pattern of names that are still being written."
        />
        <Field
          label="An empty file beside it, ending in"
          value={d.marker}
          set={(marker) => set({ marker })}
          problem={problems.marker}
          maxLength={50}
          placeholder=".done"
          hint="As clip.mp4.done for clip.mp4."
        />
        <Field
          label="Unchanged for, seconds"
          value={d.stable}
          set={(stable) => set({ stable })}
          problem={problems.stable}
          inputMode="numeric"
          maxLength={6}
          hint="Empty: never. This is a guess."
        />
      </div>
      {!d.rename.trim() && !d.marker.trim() && (!seconds || seconds === "0") && d.handler !== "xml" && (
        <Banner tone="warn">
          <p>
            <strong>No file is taken by itself.</strong> Nothing says when one is whole. Choose at least one of these,
            or take each file by hand.
          </p>
        </Banner>
      )}
      {seconds && seconds !== "0" && (
        <Banner tone="warn">
          <p>
            <strong>Half a file may be imported.</strong> A sender that pauses for more than {seconds} seconds looks the
            same as one that is done. Choose it only when senders can do neither of the others.
          </p>
        </Banner>
      )}
    </fieldset>
  );
}

export function Reading({ d, set, problems }: FieldsProps) {
  return (
    <details class="more">
      <summary>Which files, and what they are</summary>
      <div class="stack">
        <Choice
          label="What the files are"
          value={d.handler}
          set={(handler) => set({ handler })}
          options={pairs<Draft["handler"]>(handlerNames)}
        />
        <p class="small muted">{handlerWords[d.handler]}</p>
        <div class="fields">
          <Field
            label="Names to take"
            value={d.patterns}
            set={(patterns) => set({ patterns })}
            problem={problems.patterns}
            placeholder="*.mp4, *.mov"
            hint="Separated by commas. Empty: all."
          />
          <Field
            label="Names to leave alone"
            value={d.ignore}
            set={(ignore) => set({ ignore })}
            problem={problems.ignore}
            placeholder="*.tmp, Thumbs.db"
            hint="Separated by commas."
          />
          <Field
            label="Longest wait for other files, hours"
            value={d.waitHours}
            set={(waitHours) => set({ waitHours })}
            problem={problems.waitHours}
            inputMode="numeric"
            maxLength={4}
            hint="Then it is quarantined, with a reason."
          />
        </div>
      </div>
    </details>
  );
}

const trials = "tour-0042.mp4";

export function Matching({ d, set, problems }: FieldsProps) {
  const id = useId();
  const [name, setName] = useState(trials);
  const tried = useMemo(() => trySlug(d.slug, name), [d.slug, name]);
  return (
    <details class="more">
      <summary>Entries that exist, and reference ids</summary>
      <div class="stack">
        <Choice
          label="When an entry has the reference id"
          value={d.match}
          set={(match) => set({ match })}
          options={pairs<Draft["match"]>(matchNames)}
        />
        <div class="fields">
          <Field
            label="Expression that finds it in the name"
            value={d.slug}
            set={(slug) => set({ slug })}
            problem={problems.slug}
            maxLength={500}
            placeholder="(?P<referenceId>[a-z]+-\d+)"
            hint={
              <>
                With the groups <code>(?P&lt;referenceId&gt;…)</code>, and if wanted <code>userId</code> and{" "}
                <code>flavorName</code>. Kaltura's expressions work as they are. Empty: the name without its ending.
              </>
            }
          />
          <div class="field">
            <label for={id}>Try it with a name</label>
            <input
              class="input"
              id={id}
              value={name}
              spellcheck={false}
              autocomplete="off"
              aria-describedby={`${id}-r`}
              onInput={(e) => setName(e.currentTarget.value)}
            />
            <output class={`hint ${tried.found ? "" : "problem"}`} id={`${id}-r`} data-testid="slug-try">
              {slugWords(tried)}
            </output>
          </div>
        </div>
      </div>
    </details>
  );
}

export function Entries({ d, set, problems, hub }: FieldsProps & { hub: string }) {
  return (
    <details class="more">
      <summary>Owner, tags, category, conversion</summary>
      <div class="stack">
        <div class="fields">
          <Field
            label="Owner on Kaltura"
            value={d.user}
            set={(user) => set({ user })}
            problem={problems.user}
            maxLength={100}
            hint="Empty: who made the folder."
          />
          <Field
            label="Tags"
            value={d.tags}
            set={(tags) => set({ tags })}
            problem={problems.tags}
            hint="Separated by commas."
          />
          <Field
            label="Category"
            value={d.category}
            set={(category) => set({ category })}
            problem={problems.category}
            maxLength={1000}
            placeholder="Spaces>Course 101"
            hint="Its full name; it is made when it is missing."
          />
          <ProfileField hub={hub} value={d.profile} set={(profile) => set({ profile })} problem={problems.profile} />
        </div>
        <fieldset class="ticks stack-s">
          <legend>From the path, as in lena/course 101/clip.mp4</legend>
          <Tick
            label="The first folder names the owner"
            on={d.userFromPath}
            set={(userFromPath) => set({ userFromPath })}
          />
          <Tick label="Each folder becomes a tag" on={d.tagsFromPath} set={(tagsFromPath) => set({ tagsFromPath })} />
          <Tick
            label="The folders become categories below the one above"
            on={d.categoryFromPath}
            set={(categoryFromPath) => set({ categoryFromPath })}
          />
        </fieldset>
      </div>
    </details>
  );
}

export function Deleting({ d, set, problems }: FieldsProps) {
  return (
    <details class="more">
      <summary>Deletion of files</summary>
      <div class="stack">
        <p class="small muted">
          A file is deleted only when its entry is ready and has all bytes, verified by size and digest. The entry
          stays. Each file shows when it goes, and can be kept.
        </p>
        <div class="fields">
          <Choice
            label="Files are deleted"
            value={d.delete}
            set={(x) => set({ delete: x })}
            options={pairs<Draft["delete"]>(deleteNames)}
          />
          {d.delete === "after_days" && (
            <Field
              label="After so many days"
              value={d.deleteDays}
              set={(deleteDays) => set({ deleteDays })}
              problem={problems.deleteDays}
              inputMode="numeric"
              maxLength={4}
            />
          )}
        </div>
      </div>
    </details>
  );
}

export function Limits({ d, set, problems }: FieldsProps) {
  return (
    <details class="more">
      <summary>Limits, transfers, description</summary>
      <div class="stack">
        <div class="fields">
          <Field
            label="Most files at work or waiting"
            value={d.maxFiles}
            set={(maxFiles) => set({ maxFiles })}
            problem={problems.maxFiles}
            inputMode="numeric"
            maxLength={10}
            hint="Empty: the hub's limit."
          />
          <Field
            label="Most gigabytes of them"
            value={d.maxGB}
            set={(maxGB) => set({ maxGB })}
            problem={problems.maxGB}
            maxLength={10}
            hint="Empty: no limit."
          />
          <Choice
            label="Its part of a crowded line"
            value={d.policy}
            set={(policy) => set({ policy })}
            options={[["", "As the hub says"], ...Object.entries(policyNames)]}
          />
          <Field
            label="Each transfer at most, Mbit/s"
            value={d.rate}
            set={(rate) => set({ rate })}
            problem={problems.rate}
            maxLength={10}
            hint="Empty: as fast as the hub allows."
          />
        </div>
        <Area
          label="Description"
          value={d.description}
          set={(description) => set({ description })}
          problem={problems.description}
          maxLength={2000}
          rows={2}
        />
      </div>
    </details>
  );
}
