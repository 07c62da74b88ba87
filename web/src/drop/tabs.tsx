/** A row of tabs, as the keyboard expects it: arrows, Home and End. */
export function Tabs<T extends string>(p: {
  label: string;
  tabs: { id: T; name: string; count?: number }[];
  now: T;
  choose: (t: T) => void;
}) {
  const keys = (e: KeyboardEvent) => {
    const at = p.tabs.findIndex((t) => t.id === p.now);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: p.tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const t = p.tabs[(to + p.tabs.length) % p.tabs.length]!;
    p.choose(t.id);
    document.getElementById(`tab-${t.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={p.label} onKeyDown={keys}>
      {p.tabs.map((t) => (
        <button
          key={t.id}
          type="button"
          role="tab"
          id={`tab-${t.id}`}
          class="tab"
          aria-selected={p.now === t.id}
          aria-controls={p.now === t.id ? `panel-${t.id}` : undefined}
          tabIndex={p.now === t.id ? 0 : -1}
          onClick={() => p.choose(t.id)}
        >
          {t.name} {!!t.count && <span class="badge bad">{t.count.toLocaleString("en")}</span>}
        </button>
      ))}
    </div>
  );
}
