import { useEffect, useRef, useState } from "preact/hooks";

/**
 * Takes files dropped anywhere on the page, or pasted. Folders go to `folders`, to be read.
 * True while something hovers over the page.
 */
export function useDrop(take: (files: File[]) => void, folders: (found: FileSystemEntry[]) => void): boolean {
  const [over, setOver] = useState(false);
  const latest = useRef({ take, folders });
  latest.current = { take, folders };
  useEffect(() => {
    let depth = 0;
    const files = (e: DragEvent) => e.dataTransfer?.types.includes("Files") ?? false;
    const enter = (e: DragEvent) => {
      if (!files(e)) return;
      depth++;
      setOver(true);
    };
    const leave = (e: DragEvent) => {
      if (files(e) && --depth <= 0) setOver(false);
    };
    const hover = (e: DragEvent) => {
      if (files(e)) e.preventDefault();
    };
    const drop = (e: DragEvent) => {
      if (!files(e)) return;
      e.preventDefault();
      depth = 0;
      setOver(false);
      const got: File[] = [];
      const trees: FileSystemEntry[] = [];
      for (const it of e.dataTransfer!.items) {
        // A folder looks like an empty file.
        const entry = it.webkitGetAsEntry?.();
        if (entry?.isDirectory) trees.push(entry);
        else {
          const f = it.getAsFile();
          if (f) got.push(f);
        }
      }
      if (trees.length) latest.current.folders(trees);
      if (got.length) latest.current.take(got);
    };
    const paste = (e: ClipboardEvent) => {
      const got = [...(e.clipboardData?.files ?? [])];
      if (got.length) latest.current.take(got);
    };
    const on = [
      ["dragenter", enter],
      ["dragleave", leave],
      ["dragover", hover],
      ["drop", drop],
      ["paste", paste],
    ] as const;
    for (const [name, f] of on) addEventListener(name, f as EventListener);
    return () => {
      for (const [name, f] of on) removeEventListener(name, f as EventListener);
    };
  }, []);
  return over;
}
