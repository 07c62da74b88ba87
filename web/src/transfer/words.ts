// Bandwidth, schedules and states in words.
import type { Transfer, TransferAccount, TransferHours, TransferPolicy } from "../api";
import { bits, count, pace } from "../format";

export const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Day = (typeof days)[number];
export const dayNames: Record<Day, string> = {
  mon: "Monday",
  tue: "Tuesday",
  wed: "Wednesday",
  thu: "Thursday",
  fri: "Friday",
  sat: "Saturday",
  sun: "Sunday",
};
const short = (d: Day) => dayNames[d].slice(0, 3);

/** Days in words: neighbours become a span. */
export function dayWords(some: readonly Day[]): string {
  const on = days.map((d) => some.includes(d));
  if (on.every(Boolean)) return "Every day";
  const spans: string[] = [];
  for (let i = 0; i < days.length; i++) {
    if (!on[i]) continue;
    let j = i;
    while (on[j + 1]) j++;
    spans.push(
      j > i + 1
        ? `${short(days[i]!)}–${short(days[j]!)}`
        : days
            .slice(i, j + 1)
            .map(short)
            .join(", "),
    );
    i = j;
  }
  return spans.join(", ");
}

const capOf = (bps: number) => (bps > 0 ? `at most ${bits(bps)}` : "no cap");

/** One line of a schedule in words. */
export function hoursWords(h: TransferHours): string {
  const span =
    h.from === h.to && h.from === "00:00"
      ? "all day"
      : h.from === h.to
        ? `from ${h.from} to ${h.to} the next day`
        : `${h.from}–${h.to}${h.to < h.from ? " (next day)" : ""}`;
  return `${dayWords(h.days)} ${span}: ${capOf(h.cap_bps)}`;
}

/** The cap that holds now, in one sentence. */
export function capNow(a: TransferAccount): string {
  if (a.cap_now_bps > 0) return `All transfers of this hub together may use at most ${bits(a.cap_now_bps)} now.`;
  return "This hub has no cap now: files go as fast as your line allows.";
}

/** What holds at other times; empty when it is always the same. */
export function capLater(a: TransferAccount): string {
  if (a.schedule.length === 0) return "";
  const rest = `otherwise ${capOf(a.cap_bps)}`;
  return `${[...a.schedule.map(hoursWords), rest].join("; ")} (${a.time_zone} time).`;
}

export const policyNames: Record<TransferPolicy, string> = { fixed: "Fixed", high: "High", fair: "Fair", low: "Low" };
export const policyWords: Record<TransferPolicy, string> = {
  fixed: "Exactly the rate asked for, whatever else is on the line. For lines of your own.",
  high: "Takes two shares of a crowded line.",
  fair: "Takes one share, like everybody else.",
  low: "Takes what others leave.",
};

/** What holds a transfer back: the words of the API, and those that only the agent can know. */
const limiters: Record<string, string> = {
  line: "limited by the sender's line",
  cap: "limited by the hub's cap",
  priority: "waits behind what is sent first",
  rate: "limited by its own rate",
  storage: "limited by the server's disk",
  sender: "limited by the sending computer",
  disk: "limited by a disk",
  source: "limited by where the data comes from",
} satisfies Record<Exclude<NonNullable<Transfer["live"]["limited_by"]>, "none"> | "sender" | "disk" | "source", string>;

export const pathNames: Record<Transfer["live"]["path"], string> = { none: "", quic: "QUIC", https: "HTTPS" };

/** Rate, time, distance, loss and what holds it back, of something that is being sent and lacks `left` bytes. */
export function runWords(
  l: { rate_bps: number; rtt_ms?: number; loss?: number; limited_by?: string },
  left: number,
): string[] {
  const parts = pace(l.rate_bps / 8, left);
  if (l.rtt_ms) parts.push(`${Math.round(l.rtt_ms)} ms away`);
  if (l.loss) parts.push(`${(l.loss * 100).toFixed(l.loss < 0.1 ? 1 : 0)} % lost`);
  const by = limiters[l.limited_by ?? ""];
  return by ? [...parts, by] : parts;
}

/** Policy and rate wished for. */
export function speedWords(t: { policy: TransferPolicy; rate_bps?: number }): string {
  return `${policyNames[t.policy]}, ${t.rate_bps ? `at most ${bits(t.rate_bps)}` : "as fast as it goes"}`;
}

/** How a transfer goes, in words. */
export function transferWords(t: Transfer): string {
  if (t.state === "cancelled") return "Cancelled";
  if (t.state === "done") return `Done, ${count(t.files, "file")}`;
  const parts = [`${t.files - t.files_done} of ${count(t.files, "file")} to go`];
  const l = t.live;
  if (l.paused) parts.push("paused by its sender");
  else if (l.path === "none") parts.push("nobody is sending it now");
  else parts.push(...runWords(l, t.size - t.received));
  return parts.join(" · ");
}

/** What this browser calls itself, for people who look for the device. */
export function deviceName(agent = navigator.userAgent): string {
  const browser = /Edg\//.test(agent)
    ? "Edge"
    : /Firefox\//.test(agent)
      ? "Firefox"
      : /Chrom(e|ium)\//.test(agent)
        ? "Chrome"
        : /Safari\//.test(agent)
          ? "Safari"
          : "Browser";
  const system = /Android/.test(agent)
    ? "Android"
    : /iPhone|iPad/.test(agent)
      ? "iOS"
      : /Windows/.test(agent)
        ? "Windows"
        : /Mac OS/.test(agent)
          ? "macOS"
          : /Linux/.test(agent)
            ? "Linux"
            : "";
  return system ? `${browser} on ${system}` : browser;
}
