// Bandwidth, schedules and states in words.
import type { Transfer, TransferAccount, TransferHours, TransferPolicy } from "../api";
import { count } from "../format";

/** 94000000 → "94 Mbit/s". */
export function bits(bps: number): string {
  const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"];
  let i = 0;
  let v = bps;
  while (v >= 999.5 && i < units.length - 1) {
    v /= 1000;
    i++;
  }
  // 1.5 stays 1.5, and a cap of 100 does not become 100.0.
  return `${v >= 99.95 || Number.isInteger(v) ? Math.round(v) : Number(v.toFixed(1))} ${units[i]}`;
}

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
    h.from === h.to
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

const limiters: Record<NonNullable<Transfer["live"]["limited_by"]>, string> = {
  none: "",
  line: "limited by the sender's line",
  cap: "limited by the hub's cap",
  priority: "waits behind what is sent first",
  rate: "limited by its own rate",
  storage: "limited by the server's disk",
};

export const pathNames: Record<Transfer["live"]["path"], string> = { none: "", quic: "QUIC", https: "HTTPS" };

/** Rate, distance, loss and what holds it back, of something that is being sent. */
export function runWords(l: { rate_bps: number; rtt_ms?: number; loss?: number; limited_by?: string }): string[] {
  const parts = [bits(l.rate_bps)];
  if (l.rtt_ms) parts.push(`${Math.round(l.rtt_ms)} ms away`);
  if (l.loss) parts.push(`${(l.loss * 100).toFixed(l.loss < 0.1 ? 1 : 0)} % lost`);
  const by = (limiters as Record<string, string>)[l.limited_by ?? ""];
  return by ? [...parts, by] : parts;
}

/** How a transfer goes, in words. */
export function transferWords(t: Transfer): string {
  if (t.state === "cancelled") return "Cancelled";
  if (t.state === "done") return `Done, ${count(t.files, "file")}`;
  const parts = [`${t.files - t.files_done} of ${count(t.files, "file")} to go`];
  const l = t.live;
  if (l.paused) parts.push("paused by its sender");
  else if (l.path === "none") parts.push("nobody is sending it now");
  else parts.push(...runWords(l));
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
