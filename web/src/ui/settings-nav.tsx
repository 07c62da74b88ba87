import { here } from "../router";

const pages: [string, string][] = [
  ["integrations/kaltura", "Kaltura"],
  ["transfers", "Bandwidth"],
  ["people", "People"],
  ["apps", "Apps"],
  ["audit", "Audit"],
];

/** The pages of a hub's settings. */
export function SettingsNav({ hub }: { hub: string }) {
  return <PagesNav label="Hub settings" pages={pages.map(([p, name]) => [`/hubs/${hub}/settings/${p}`, name])} />;
}

/** A row of links to pages that belong together; the present one is marked. */
export function PagesNav({ label, pages }: { label: string; pages: [string, string][] }) {
  return (
    <nav class="nav" aria-label={label}>
      {pages.map(([path, name]) => (
        <a key={path} href={path} aria-current={here.value.pathname === path ? "page" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}
