import "../styles/library.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { announce, say } from "../announce";
import { api, call, type MyIntegration } from "../api";
import { follow } from "../live";
import { here } from "../router";
import { hub, may, rememberHub } from "../session";
import { Icon } from "../ui/icons";
import { Banner, useLoad } from "../ui/parts";
import { useDrop } from "../upload/drop";
import { queueOf } from "../upload/queue";
import { ItemDetail } from "./item-detail";
import { FromKaltura } from "./kaltura";
import { MediaDetail } from "./media-detail";
import { usePicking } from "./pick";
import { setParams } from "./query";
import { Spaces } from "./spaces";
import { Uploads } from "./uploads";

const tabs = ["spaces", "kaltura"] as const;
type Tab = (typeof tabs)[number];

/** The library of a hub: on our own page, and in the picker that other sites show. */
export function LibraryView({ hub: id }: { hub: string }) {
  const queue = queueOf(id);
  const picking = usePicking();
  const s = here.value.searchParams;
  const tab: Tab = s.get("tab") === "kaltura" ? "kaltura" : "spaces";
  const [changed, setChanged] = useState(0);
  // A removed item must vanish from the list, which merges fresh pages into what it shows.
  const [removals, setRemovals] = useState(0);
  const bump = () => setChanged((n) => n + 1);
  const mine = useLoad(() => call(api.GET("/v1/me/integrations")), [id]);
  const state = mine.data?.items.find((i) => i.hub.id === id);
  const on = state ? state.state === "connected" : !mine.problem;
  const file = useRef<HTMLInputElement>(null);

  useEffect(() => {
    rememberHub(id);
    document.title = `Media library · ${hub.peek()?.name ?? "Isthmus"}`;
  }, [id]);
  useEffect(() => {
    if (may("uploads:write")) void queue.load();
    return follow(
      id,
      (e) => {
        queue.hear(e);
        // Progress changes no list; everything else may.
        if (!e.type.endsWith(".progress")) bump();
        // Fresh pages are merged into what is shown, which does not notice what is gone.
        if (e.type === "library.item_removed" || e.type === "library.item_unshared") setRemovals((n) => n + 1);
        if (e.type === "integration.recovered") announce("Kaltura answers again.");
        if (e.type.startsWith("integration.") || e.type.startsWith("mapping.")) mine.again();
      },
      () => {
        void queue.load();
        bump();
      },
    );
  }, [id]);

  const take = (files: Iterable<File>) => {
    if (!may("uploads:write")) return;
    if (!on) {
      say(state?.next_step ?? "Uploads need a connected Kaltura account.");
      return;
    }
    queue.add(files);
    if (tab !== "kaltura") setParams({ tab: "kaltura" });
  };
  const over = useDrop(take, () => say("Folders are sent on the Transfers page: drop them there."));
  const open = (name: "media" | "item") => (value: string) =>
    setParams({ media: null, item: null, [name]: value }, true);
  const close = () => setParams({ media: null, item: null });
  const media = s.get("media");
  const item = s.get("item");

  return (
    <div class="stack">
      <div class="spread">
        <h1>Media library</h1>
        {may("uploads:write") && (
          <button
            type="button"
            class={`btn ${picking ? "" : "primary"}`}
            disabled={!on}
            onClick={() => file.current?.click()}
          >
            <Icon name="upload" /> Upload
          </button>
        )}
        <input
          ref={file}
          type="file"
          multiple
          hidden
          aria-label="Files to upload"
          onChange={(e) => {
            take([...(e.currentTarget.files ?? [])]);
            e.currentTarget.value = "";
          }}
        />
      </div>
      {state?.health && state.health !== "ok" && (
        <Banner tone="warn">
          <p>
            <strong>The connection to Kaltura has a problem.</strong> {state.health_text} {state.next_step}
          </p>
        </Banner>
      )}
      {on && state?.mapping && ["pending", "conflict", "unlinked"].includes(state.mapping.state) && (
        <Banner tone="warn">
          <p>
            {state.what_i_see} {state.next_step}
          </p>
        </Banner>
      )}
      <Uploads queue={queue} open={open("media")} />
      <Tabs tab={tab} on={on} />
      <div role="tabpanel" id={`panel-${tab}`} aria-labelledby={`tab-${tab}`}>
        {tab === "spaces" && <Spaces key={removals} hub={id} changed={changed} open={open("item")} kalturaOn={on} />}
        {tab === "kaltura" && on && (
          <FromKaltura
            hub={id}
            queue={queue}
            changed={changed}
            open={open("media")}
            upload={() => file.current?.click()}
          />
        )}
        {tab === "kaltura" && !on && <Off state={state} />}
      </div>
      {media && (
        <MediaDetail
          key={media}
          hub={id}
          id={media}
          close={close}
          changed={bump}
          showItem={(i) => setParams({ media: null, item: i, tab: null })}
        />
      )}
      {item && (
        <ItemDetail
          key={item}
          hub={id}
          id={item}
          close={close}
          changed={bump}
          removed={() => {
            setRemovals((n) => n + 1);
            close();
          }}
        />
      )}
      {over && (
        <div class="drop-hint" aria-hidden="true">
          {on ? "Drop to upload" : "Uploads need a connected Kaltura account"}
        </div>
      )}
    </div>
  );
}

function Tabs({ tab, on }: { tab: Tab; on: boolean }) {
  const choose = (t: Tab) => setParams({ tab: t === "spaces" ? null : t });
  const keys = (e: KeyboardEvent) => {
    const at = tabs.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const t = tabs[(to + tabs.length) % tabs.length]!;
    choose(t);
    document.getElementById(`tab-${t}`)?.focus();
  };
  const one = (t: Tab, label: string, off = false) => (
    <button
      type="button"
      role="tab"
      id={`tab-${t}`}
      class={`tab ${off ? "off" : ""}`}
      aria-selected={tab === t}
      aria-controls={tab === t ? `panel-${t}` : undefined}
      tabIndex={tab === t ? 0 : -1}
      onClick={() => choose(t)}
    >
      {label}
      {off && <span class="visually-hidden"> (not available)</span>}
    </button>
  );
  return (
    <div class="tabs" role="tablist" aria-label="Source" onKeyDown={keys}>
      {one("spaces", "Spaces")}
      {one("kaltura", "From Kaltura", !on)}
    </div>
  );
}

/** Says why the source is not there, and what to do about it. */
function Off({ state }: { state?: MyIntegration }) {
  const h = hub.value;
  const admin = h?.role === "admin";
  return (
    <div class="empty">
      <Icon name="link" size={44} />
      <h2>
        {state?.state === "plan_too_low"
          ? "Kaltura is not part of this hub's plan"
          : "This hub is not connected to Kaltura yet"}
      </h2>
      <p class="muted">
        {state?.what_i_see} {state?.next_step}
      </p>
      {admin && state?.state === "not_connected" && (
        <a class="btn primary" href={`/hubs/${h.id}/settings/integrations/kaltura`}>
          Connect Kaltura
        </a>
      )}
    </div>
  );
}
