/** Puts a fresh first page on what is shown: known rows are updated in place, new ones come first. */
export function merge<T extends { id: string }>(shown: T[], fresh: T[]): T[] {
  const byId = new Map(fresh.map((i) => [i.id, i]));
  const known = new Set(shown.map((i) => i.id));
  return [...fresh.filter((i) => !known.has(i.id)), ...shown.map((i) => byId.get(i.id) ?? i)];
}

/** Appends a page without rows that are there already. */
export function append<T extends { id: string }>(shown: T[], more: T[]): T[] {
  const known = new Set(shown.map((i) => i.id));
  return [...shown, ...more.filter((i) => !known.has(i.id))];
}
