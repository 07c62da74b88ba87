import { useEffect } from "preact/hooks";
import { announce } from "../announce";
import { api, call, type LibraryItem } from "../api";
import { count } from "../format";
import { here } from "../router";
import { Icon } from "../ui/icons";
import { Act, ProblemBanner } from "../ui/parts";
import { ItemCard } from "./card";
import { Grid, Skeletons } from "./grid";
import { usePages } from "./pages";
import { choiceOfItem, typesOf, usePicking } from "./pick";
import { readAsk, setParams } from "./query";
import { Search } from "./search";

const underWay = ["pending", "importing", "processing"];

/** What the hub imported, as far as this person may see it. */
export function Spaces(p: { hub: string; changed: number; open: (id: string) => void; kalturaOn: boolean }) {
  const { q } = readAsk(here.value.searchParams);
  const type = typesOf(usePicking());
  const question = JSON.stringify([q, type]);
  const list = usePages<LibraryItem, { items: LibraryItem[]; next?: string }>(question, (cursor, signal) =>
    call(
      api.GET("/v1/hubs/{hub}/library", {
        signal,
        params: { path: { hub: p.hub }, query: { q: q || undefined, type, cursor, limit: 60 } },
      }),
    ),
  );
  useEffect(() => {
    if (p.changed > 0) list.refresh();
  }, [p.changed]);
  const waiting = list.items?.some((i) => underWay.includes(i.state)) ?? false;
  useEffect(() => {
    if (!waiting) return;
    const t = setInterval(list.refresh, 2500);
    return () => clearInterval(t);
  }, [waiting, q]);
  const n = list.items?.length;
  useEffect(() => {
    if (n !== undefined) announce(count(n, "item"));
  }, [n, q]);
  return (
    <div class="stack">
      <Search value={q} label="Search in Spaces" />
      {list.problem && <ProblemBanner problem={list.problem} retry={list.again} />}
      {list.items === null && !list.problem && <Skeletons />}
      {list.items && list.items.length > 0 && (
        <Grid
          label="Media in Spaces"
          items={list.items}
          open={(i) => p.open(i.id)}
          card={(i) => <ItemCard it={i} />}
          choice={choiceOfItem}
        />
      )}
      {list.items?.length === 0 && (
        <div class="empty">
          <Icon name={q ? "search" : "import"} size={44} />
          {q ? (
            <>
              <h2>Nothing found</h2>
              <p class="muted">Nothing in Spaces is called “{q}”.</p>
              <div class="row">
                <button type="button" class="btn" onClick={() => setParams({ q: null })}>
                  Clear the search
                </button>
                {p.kalturaOn && (
                  <button type="button" class="btn primary" onClick={() => setParams({ tab: "kaltura" })}>
                    Search in Kaltura
                  </button>
                )}
              </div>
            </>
          ) : (
            <>
              <h2>Nothing here yet</h2>
              <p class="muted">
                {p.kalturaOn
                  ? "Here are your hub’s own media, and what you import from Kaltura, ready for your rooms."
                  : "Here are your hub’s own media, ready for your rooms."}
              </p>
              {p.kalturaOn && (
                <button type="button" class="btn primary" onClick={() => setParams({ tab: "kaltura" })}>
                  Choose from Kaltura
                </button>
              )}
            </>
          )}
        </div>
      )}
      {list.hasMore && (
        <div class="row">
          <Act do={list.more}>Load more</Act>
        </div>
      )}
    </div>
  );
}
