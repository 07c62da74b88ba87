// The text of a manifest as lines, and where in them something is wrong.

/** The format that a name, or else the text itself, speaks of. */
export function formatOf(name: string, text: string): "xml" | "json" | "csv" {
  const ending = /\.(xml|json|csv)$/i.exec(name)?.[1]?.toLowerCase();
  if (ending) return ending as "xml" | "json" | "csv";
  const start = text.replace(/^\ufeff/, "").trimStart()[0];
  return start === "<" ? "xml" : start === "{" || start === "[" ? "json" : "csv";
}

export const mediaType = { xml: "application/xml", json: "application/json", csv: "text/csv" } as const;

/** The lines of a text, however they end. */
export const linesOf = (text: string): string[] => text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/);

/** A line in three: before the character at `column` (from 1), that one, and after it. Characters, not units. */
export function cut(line: string, column: number): [string, string, string] {
  const chars = Array.from(line);
  const at = Math.min(Math.max(column, 1) - 1, chars.length);
  return [chars.slice(0, at).join(""), chars[at] ?? "", chars.slice(at + 1).join("")];
}

/** Where in a text the character at a line and column begins, for putting the cursor there. */
export function offsetOf(text: string, line: number, column: number): number {
  let at = text.startsWith("\ufeff") ? 1 : 0;
  for (let n = 1; n < line; n++) {
    const end = /\r\n|\r|\n/.exec(text.slice(at));
    if (!end) return text.length;
    at += end.index + end[0].length;
  }
  return at + cut(linesOf(text.slice(at))[0] ?? "", column)[0].length;
}

/** Lines drawn at once. */
export const WINDOW = 400;

/** The part of so many lines that is drawn when `line` is to be seen. */
export function windowOf(lines: number, line: number): [number, number] {
  if (lines <= WINDOW) return [1, lines];
  const from = Math.max(1, Math.min(line - WINDOW / 2, lines - WINDOW + 1));
  return [from, from + WINDOW - 1];
}
