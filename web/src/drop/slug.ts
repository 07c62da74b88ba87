// Tries a folder's expression on a name, as the server does it, while somebody is typing it.

/** What an expression finds in a name. */
export interface Slug {
  referenceId: string;
  userId: string;
  flavorName: string;
}

export interface Tried {
  problem?: string; // the expression cannot be right
  found?: Slug; // absent: it does not fit the name
}

/** A name without the folders before it. */
export const baseName = (name: string) => name.slice(name.lastIndexOf("/") + 1);

/** A name without its ending. */
export function stem(name: string): string {
  const base = baseName(name);
  const dot = base.lastIndexOf(".");
  return dot > 0 ? base.slice(0, dot) : base;
}

/** Kaltura's expressions stand between delimiters and may have letters after them. */
function bare(expression: string): { source: string; flags: string } {
  const m = /^([/#~@!%])(.*)\1([a-z]*)$/s.exec(expression);
  if (!m) return { source: expression, flags: "" };
  return { source: m[2]!, flags: m[3]!.replace(/[^ims]/g, "") };
}

/** Tries an expression on a name; empty means the name without its ending. */
export function trySlug(expression: string, name: string): Tried {
  const base = baseName(name);
  if (expression.trim() === "") return { found: { referenceId: stem(name), userId: "", flavorName: "" } };
  const { source, flags } = bare(expression.trim());
  if (/\(\?(=|!|<=|<!|>)|\\[1-9]|[*+?}]\+/.test(source))
    return { problem: "Looking ahead or behind, and referring back, is not possible here." };
  if (!/\(\?P?<referenceId>/.test(source)) return { problem: "It needs a group (?P<referenceId>…)." };
  let pattern: RegExp;
  try {
    pattern = new RegExp(source.replaceAll("(?P<", "(?<"), `${flags}u`);
  } catch {
    return { problem: "It is no regular expression: look at its brackets." };
  }
  const groups = pattern.exec(base)?.groups;
  if (!groups?.referenceId) return {};
  return {
    found: {
      referenceId: groups.referenceId,
      userId: groups.userId ?? "",
      flavorName: groups.flavorName ?? "",
    },
  };
}

/** What an expression finds, in words. */
export function slugWords(t: Tried): string {
  if (t.problem) return t.problem;
  if (!t.found) return "Does not fit this name: the file would be quarantined.";
  const parts = [`Reference id ${t.found.referenceId}`];
  if (t.found.userId) parts.push(`user ${t.found.userId}`);
  if (t.found.flavorName) parts.push(`rendition ${t.found.flavorName}`);
  return parts.join(", ");
}
