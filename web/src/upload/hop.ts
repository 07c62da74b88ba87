import { signal } from "@preact/signals";

const names: Record<string, string> = { h3: "HTTP/3", h2: "HTTP/2", "http/1.1": "HTTP/1.1" };

/** The protocol by which bytes of uploads go, as far as the browser tells. */
export const hop = signal("HTTPS");

/** Begins to look. Uploads are all that the pages send by XMLHttpRequest. */
export function watchHop(): void {
  new PerformanceObserver((list) => {
    for (const e of list.getEntries() as PerformanceResourceTiming[]) {
      const name = names[e.nextHopProtocol];
      if (e.initiatorType === "xmlhttprequest" && name) hop.value = name;
    }
  }).observe({ type: "resource" });
}
