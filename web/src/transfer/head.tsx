import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Hub, TransferAccount } from "../api";
import { navigate } from "../router";
import { hubs } from "../session";
import { Icon } from "../ui/icons";
import { Banner } from "../ui/parts";
import { useDrop } from "../upload/drop";
import { batch } from "./batch";
import { chosen } from "./tree";
import { capLater, capNow } from "./words";

/** Whether the browser believes to have a network. */
export function useOnline(): boolean {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    addEventListener("online", look);
    addEventListener("offline", look);
    return () => {
      removeEventListener("online", look);
      removeEventListener("offline", look);
    };
  }, []);
  return online;
}

function lastTarget(): string {
  try {
    return localStorage.getItem("transfer-hub") ?? "";
  } catch {
    return "";
  }
}

/** Where the files go, in large type: the mistake that is hardest to undo is the wrong hub. */
export function Target({ hub, account, busy }: { hub: Hub; account?: TransferAccount; busy: boolean }) {
  const [sure, setSure] = useState(false);
  const last = hubs.value.find((h) => h.id === lastTarget());
  const other = last && last.id !== hub.id ? last : undefined;
  return (
    <section class="card stack-s target" aria-label="Target">
      <div class="spread">
        <p>
          <span class="muted">Files go to</span>
          <br />
          <strong class="target-name">
            <bdi>{hub.name}</bdi>
          </strong>
        </p>
        {hubs.value.length > 1 && (
          <div class="field">
            <label for="target">Change hub</label>
            <select
              id="target"
              value={hub.id}
              onChange={(e) => navigate(`/hubs/${e.currentTarget.value}/transfers`)}
              aria-describedby={busy ? "target-busy" : undefined}
            >
              {hubs.value.map((h) => (
                <option key={h.id} value={h.id}>
                  {h.name}
                </option>
              ))}
            </select>
            {busy && (
              <span class="hint" id="target-busy">
                What is being sent goes on to {hub.name}.
              </span>
            )}
          </div>
        )}
      </div>
      {account && (
        <p class="small muted" data-testid="cap">
          {capNow(account)} {capLater(account)}{" "}
          {hub.role === "admin" && <a href={`/hubs/${hub.id}/settings/transfers`}>Change</a>}
        </p>
      )}
      {other && !sure && (
        <Banner
          tone="warn"
          action={
            <div class="row">
              <a class="btn small" href={`/hubs/${other.id}/transfers`}>
                Go to {other.name}
              </a>
              <button type="button" class="btn small" onClick={() => setSure(true)}>
                It is right
              </button>
            </div>
          }
        >
          <p>
            <strong>Another hub than last time.</strong> Your last files went to <bdi>{other.name}</bdi>.
          </p>
        </Banner>
      )}
    </section>
  );
}

/** Where files are dropped, pasted or chosen, folders included. */
export function Choose({ on, files }: { on: boolean; files: RefObject<HTMLInputElement | null> }) {
  const over = useDrop(
    (got) => on && batch.add(got.map((file) => ({ file, folder: "" }))),
    (trees) => on && void batch.addFolders(trees),
  );
  const take = (e: { currentTarget: HTMLInputElement }) => {
    batch.add(chosen(e.currentTarget.files ?? []));
    e.currentTarget.value = "";
  };
  return (
    <div class="choose">
      <button
        type="button"
        class={`dropzone ${over ? "over" : ""}`}
        disabled={!on}
        onClick={() => files.current?.click()}
      >
        <Icon name="upload" size={36} />
        <strong>{over ? "Drop to add them to the list" : "Choose files"}</strong>
        <span class="muted small">or drop files and folders anywhere on this page, or paste them</span>
      </button>
      <label class={`btn ${on ? "" : "off"}`}>
        <Icon name="folder" /> Choose a folder
        <input
          class="visually-hidden"
          type="file"
          disabled={!on}
          onChange={take}
          ref={(i) => {
            // Not known to JSX; every engine has it.
            if (i) i.webkitdirectory = true;
          }}
        />
      </label>
      <input ref={files} type="file" multiple hidden aria-label="Files to send" onChange={take} />
    </div>
  );
}
