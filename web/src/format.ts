/** 1536000 → "1.5 MB". Decimal units, as disks and networks are sold. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  let v = n;
  while (v >= 999.5 && i < units.length - 1) {
    v /= 1000;
    i++;
  }
  return `${i === 0 ? v : v < 9.95 ? v.toFixed(1) : Math.round(v)} ${units[i]}`;
}

/** 94000000 → "94 Mbit/s". Lines and caps are told in bits. */
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

/** How fast (bytes a second) and for how long still, as far as it is known: "94 Mbit/s", "about a minute left". */
export function pace(rate: number, left: number): string[] {
  return rate > 0 ? [bits(rate * 8), `${remaining(left / rate)} left`] : [];
}

/** 83000 ms → "1:23". Empty for nothing. */
export function clock(ms: number): string {
  if (!(ms > 0)) return "";
  const s = Math.max(1, Math.round(ms / 1000));
  const h = Math.floor(s / 3600);
  const m = Math.floor((s % 3600) / 60);
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

/** Seconds in words, rounded so that they do not flicker: "about 2 minutes". */
export function remaining(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 10) return "a few seconds";
  if (seconds < 55) return `${Math.ceil(seconds / 5) * 5} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return minutes <= 1 ? "about a minute" : `about ${minutes} minutes`;
  const hours = seconds / 3600;
  return hours < 1.5 ? "about an hour" : `about ${Math.round(hours)} hours`;
}

/** How long ago, in words. */
export function ago(iso: string, now = Date.now()): string {
  const seconds = Math.round((new Date(iso).getTime() - now) / 1000);
  const f = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const abs = Math.abs(seconds);
  if (abs < 45) return "just now";
  if (abs < 2700) return f.format(Math.round(seconds / 60), "minute");
  if (abs < 79200) return f.format(Math.round(seconds / 3600), "hour");
  if (abs < 2.3e6) return f.format(Math.round(seconds / 86400), "day");
  if (abs < 2.8e7) return f.format(Math.round(seconds / 2.63e6), "month");
  return f.format(Math.round(seconds / 3.156e7), "year");
}

/** How much time lies between, short: "12 s", "3 min", "5 h", "2 days". */
export function passed(iso: string, now = Date.now()): string {
  const s = Math.max(0, Math.round((now - new Date(iso).getTime()) / 1000));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129_600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} days`;
}

/** The time of day, with the date when it is another day. */
export function clockTime(iso: string, now = new Date()): string {
  const d = new Date(iso);
  if (d.toDateString() !== now.toDateString()) return when(iso);
  return d.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** A day and time for people. */
export function when(iso: string): string {
  const d = new Date(iso);
  return Number.isNaN(d.getTime()) ? "" : d.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** 0.4567 → "46 %"; never 100 before it is. */
export function percent(p: number): string {
  const n = Math.floor(Math.min(1, Math.max(0, p)) * 100);
  return `${n} %`;
}

/** "1 entry", "3 entries". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** Lines of a text without empty ones. */
export function lines(text: string): string[] {
  return text
    .split("\n")
    .map((l) => l.trim())
    .filter((l) => l !== "");
}
