import { useEffect, useState } from "preact/hooks";
import type { Problem } from "../api";
import { asProblem } from "../api";
import { bytes, count } from "../format";
import { Icon } from "../ui/icons";
import { Act, Loading, ProblemBanner } from "../ui/parts";
import type { Agent, AgentEntry, AgentFolder, Picked } from "./agent";

/** Chooses in the folders that the person opened to this page. */
export function Folders({
  agent,
  folders,
  chosen,
}: {
  agent: Agent;
  folders: AgentFolder[];
  chosen: (picks: Picked[]) => void;
}) {
  const [folder, setFolder] = useState(folders[0]);
  const [path, setPath] = useState<string[]>([]);
  const [listing, setListing] = useState<{ entries: AgentEntry[]; truncated: boolean }>();
  const [ticked, setTicked] = useState<ReadonlySet<string>>(new Set());
  const [problem, setProblem] = useState<Problem>();
  const where = path.join("/");
  useEffect(() => {
    if (!folder) return;
    let stale = false;
    setListing(undefined);
    setTicked(new Set());
    setProblem(undefined);
    agent.list(folder.id, where).then(
      (l) => !stale && setListing(l),
      (e) => !stale && setProblem(asProblem(e)),
    );
    return () => {
      stale = true;
    };
  }, [agent, folder?.id, where]);
  if (!folder) return null;
  const tick = (name: string, on: boolean) => {
    const next = new Set(ticked);
    if (on) next.add(name);
    else next.delete(name);
    setTicked(next);
  };
  return (
    <div class="stack-s" role="group" aria-label="Folders of the agent">
      <div class="row">
        {folders.length > 1 && (
          <select
            class="chip"
            aria-label="Folder"
            value={folder.id}
            onChange={(e) => {
              setFolder(folders.find((f) => f.id === e.currentTarget.value));
              setPath([]);
            }}
          >
            {folders.map((f) => (
              <option key={f.id} value={f.id}>
                {f.name}
              </option>
            ))}
          </select>
        )}
        <strong>
          <bdi>{[folder.name, ...path].join(" / ")}</bdi>
        </strong>
        {path.length > 0 && (
          <button type="button" class="btn small" onClick={() => setPath(path.slice(0, -1))}>
            Up
          </button>
        )}
      </div>
      {problem && <ProblemBanner problem={problem} />}
      {!listing && !problem && <Loading what="Looking into the folder" />}
      {listing?.entries.length === 0 && <p class="muted">Nothing lies here.</p>}
      {listing && listing.entries.length > 0 && (
        <ul class="entries">
          {listing.entries.map((e) => (
            <li key={e.name} class="row">
              <label class="tick grow">
                <input
                  type="checkbox"
                  checked={ticked.has(e.name)}
                  onChange={(x) => tick(e.name, x.currentTarget.checked)}
                />
                <span>
                  <bdi>{e.name}</bdi> <span class="muted small">{e.folder ? "folder" : bytes(e.size)}</span>
                </span>
              </label>
              {e.folder && (
                <button
                  type="button"
                  class="btn small"
                  aria-label={`Open ${e.name}`}
                  onClick={() => setPath([...path, e.name])}
                >
                  Open
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {listing?.truncated && (
        <p class="muted small">There is more; choose the whole folder, or open one that holds less.</p>
      )}
      {ticked.size > 0 && (
        <div class="row">
          <Act
            small
            do={async () => {
              chosen(
                await agent.choose(
                  folder.id,
                  [...ticked].map((n) => [...path, n].join("/")),
                ),
              );
              setTicked(new Set());
            }}
            failed={setProblem}
          >
            <Icon name="check" size={16} /> Add {count(ticked.size, "choice")}
          </Act>
        </div>
      )}
    </div>
  );
}
