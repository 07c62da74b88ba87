import { useEffect } from "preact/hooks";
import { percent } from "../format";

/** A pie of sixteenths, so that the icon is not drawn anew for each byte. */
function pie(far: number): string {
  const part = Math.max(1, Math.min(15, Math.round(far * 16))) / 16;
  const a = part * 2 * Math.PI;
  const to = `${(16 + 15 * Math.sin(a)).toFixed(1)} ${(16 - 15 * Math.cos(a)).toFixed(1)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="#f7e3bf"/><path d="M16 16V1A15 15 0 ${part > 0.5 ? 1 : 0} 1 ${to}z" fill="#0b6e69"/></svg>`;
}

/** Names the browser's tab, and shows there how far the page's work is while `far` (0..1) is given. */
export function useTab(name: string, far?: number): void {
  const words = far === undefined ? "" : `${percent(far)} · `;
  useEffect(() => {
    document.title = words + name;
  }, [words, name]);
  const icon = far === undefined ? "" : pie(far);
  useEffect(() => {
    const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
    if (!link || !icon) return;
    const usual = link.href;
    link.href = `data:image/svg+xml,${encodeURIComponent(icon)}`;
    return () => {
      link.href = usual;
    };
  }, [icon]);
}
