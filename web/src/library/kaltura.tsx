import { useEffect } from "preact/hooks";
import { announce } from "../announce";
import { api, call, type Media, type MediaPage, type Problem } from "../api";
import { count } from "../format";
import { here } from "../router";
import { may } from "../session";
import { Icon } from "../ui/icons";
import { Act, ProblemBanner } from "../ui/parts";
import { Trouble } from "../ui/trouble";
import type { Item } from "../upload/machine";
import type { Queue } from "../upload/queue";
import { MediaCard } from "./card";
import { Grid, Skeletons } from "./grid";
import { usePages } from "./pages";
import { choiceOfMedia, typesOf, usePicking } from "./pick";
import { createdAfter, narrowed, readAsk } from "./query";
import { ClearAll, Filters, Search } from "./search";
import { UploadCard } from "./uploads";

/** Whether it is Kaltura that does not answer, or answers that it does not know us. */
const unanswered = (p: Problem) => (p.status === 503 && p.retryable) || p.code === "credentials_invalid";

/** Media of the connected account, as far as this person may see it. */
export function FromKaltura(p: {
  hub: string;
  queue: Queue;
  changed: number;
  open: (id: string) => void;
  upload: () => void;
}) {
  const ask = readAsk(here.value.searchParams);
  const picking = usePicking();
  const question = JSON.stringify([ask, picking?.types]);
  const list = usePages<Media, MediaPage>(question, (cursor, signal) =>
    call(
      api.GET("/v1/hubs/{hub}/media", {
        signal,
        params: {
          path: { hub: p.hub },
          query: {
            source: "kaltura",
            q: ask.q || undefined,
            type: typesOf(picking, ask.type),
            is_360: ask.is360 || undefined,
            owner: ask.mine ? "me" : undefined,
            status: ask.status ? [ask.status as Media["status"]] : undefined,
            created_after: createdAfter(ask.since, Date.now()),
            sort: ask.sort as "-created",
            cursor,
            limit: 30,
          },
        },
      }),
    ),
  );
  const { items, first } = list;
  const arrived = p.queue.arrived.value + p.changed;
  useEffect(() => {
    if (arrived > 0) list.refresh();
  }, [arrived]);
  // Entries that are still being made playable change without an event when others own them.
  const waiting = items?.some((m) => m.status === "processing" || m.status === "uploading") ?? false;
  useEffect(() => {
    if (!waiting) return;
    const t = setInterval(list.refresh, 4000);
    return () => clearInterval(t);
  }, [waiting, question]);
  // Others add to the account without telling us: who comes back to the window wants to see it.
  useEffect(() => {
    const look = () => document.visibilityState === "visible" && list.refresh();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [question]);
  const found = first ? (first.total ?? items?.length ?? 0) : undefined;
  const shownCount =
    found === undefined
      ? ""
      : `${count(found, "item")}${first?.total === undefined && list.hasMore ? " so far" : ""}${ask.q ? ` for “${ask.q}”` : ""}`;
  useEffect(() => {
    if (shownCount) announce(shownCount);
  }, [shownCount, question]);

  const listed = new Set(items?.map((m) => m.id));
  const coming: Item[] = narrowed(ask)
    ? []
    : p.queue.items.value.filter(
        (i) => i.phase !== "ready" && i.phase !== "cancelled" && !(i.upload?.entry_id && listed.has(i.upload.entry_id)),
      );
  const inTrouble = first?.stale || (list.problem && unanswered(list.problem));
  const empty = items?.length === 0 && coming.length === 0;
  return (
    <div class="stack">
      <div class="tools">
        <Search value={ask.q} label="Search in Kaltura" />
        <Filters ask={ask} />
      </div>
      {inTrouble && <Trouble hub={p.hub} asOf={first?.stale ? first.as_of : undefined} again={list.again} />}
      {list.problem && !unanswered(list.problem) && <ProblemBanner problem={list.problem} retry={list.again} />}
      {items === null && !list.problem && <Skeletons />}
      {items && !empty && (
        <>
          <p class="muted small" data-testid="count">
            {shownCount}
          </p>
          <Grid
            label="Media from Kaltura"
            items={items}
            open={(m) => p.open(m.id)}
            card={(m) => <MediaCard m={m} />}
            choice={choiceOfMedia}
            before={coming.map((it) => (
              <li key={it.key}>
                <UploadCard it={it} />
              </li>
            ))}
          />
        </>
      )}
      {empty && (
        <div class="empty">
          <Icon name={narrowed(ask) ? "search" : "upload"} size={44} />
          {narrowed(ask) ? (
            <>
              <h2>Nothing found</h2>
              <p class="muted">
                No media that you may see fits {ask.q ? `“${ask.q}” and ` : ""}these filters. Try fewer of them.
              </p>
              <ClearAll />
            </>
          ) : (
            <>
              <h2>No media yet</h2>
              <p class="muted">
                Nothing in this Kaltura account is visible to you yet. Drop files anywhere on this page to upload them.
              </p>
              {may("uploads:write") && (
                <button type="button" class="btn primary" onClick={p.upload}>
                  <Icon name="upload" /> Upload files
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
