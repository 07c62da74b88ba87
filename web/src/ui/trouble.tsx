import { useEffect, useState } from "preact/hooks";
import { api, type ConnectionState, call } from "../api";
import { ago, clockTime, passed } from "../format";
import { Icon } from "./icons";
import { Act, useLoad } from "./parts";

const words: Record<string, [string, string]> = {
  degraded: ["Kaltura is not answering.", "We keep trying by ourselves."],
  credentials_invalid: ["Kaltura refuses this hub's access.", "An admin of the hub has been told and has to renew it."],
};

/** The present time, again every second while it is wanted. */
export function useNow(wanted = true): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!wanted) return;
    setNow(Date.now());
    const t = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(t);
  }, [wanted]);
  return now;
}

/** When the platform was asked and will be, counted by the second. Not part of anything that is read out by itself. */
export function Tries({ c }: { c: ConnectionState }) {
  const now = useNow();
  const next = c.next_try_at ? Math.ceil((Date.parse(c.next_try_at) - now) / 1000) : 0;
  return (
    <p class="small tabular" data-testid="tries">
      Last try {passed(c.last_try_at, now)} ago
      {next > 0 ? `, next in ${next < 90 ? `${next} s` : `${Math.round(next / 60)} min`}.` : ", trying again now."}
    </p>
  );
}

/**
 * Says to everybody that the connection is in trouble, since when, and when it is tried again. What
 * it says changes only with the state, so that it is read out once; the counting goes on beside it.
 */
export function Trouble(p: { hub: string; asOf?: string; again: () => Promise<unknown> }) {
  const mine = useLoad(() => call(api.GET("/v1/me/integrations")), [p.hub]);
  const c = mine.data?.items.find((i) => i.hub.id === p.hub)?.connection;
  useEffect(() => {
    const t = setInterval(mine.again, 5000);
    return () => clearInterval(t);
  }, []);
  const ok = c?.state === "ok";
  // Events say so sooner; this is for a browser that hears none.
  useEffect(() => {
    if (ok) void p.again();
  }, [ok]);
  const [title, rest] = words[c?.state ?? "degraded"] ?? words.degraded!;
  return (
    <div class="banner warn" data-testid="trouble">
      <Icon name="warn" />
      <div class="grow stack-s">
        <p role="status">
          <strong>{title}</strong> {rest} {p.asOf && `What you see is as of ${clockTime(p.asOf)}.`}
        </p>
        {p.asOf && <p class="small">That is {ago(p.asOf)}. Uploads are taken and wait; nothing is lost.</p>}
        {c && c.state !== "ok" && <Tries c={c} />}
      </div>
      <Act small icon="retry" do={p.again}>
        Try again
      </Act>
    </div>
  );
}
