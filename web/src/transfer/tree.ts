// Reads dropped folders.

/** A file and the folders in which it lay, "a/b/" or "". */
export interface Found {
  file: File;
  folder: string;
}

const listed = (d: FileSystemDirectoryEntry) => {
  const reader = d.createReader();
  // A folder is read in portions of about a hundred; an empty one is the end.
  return () => new Promise<FileSystemEntry[]>((good, bad) => reader.readEntries(good, bad));
};

/** Goes through folders, depth first, and gives what it finds portion by portion. Throws what cannot be read. */
export async function walk(entries: FileSystemEntry[], found: (some: Found[]) => void): Promise<void> {
  for (const e of entries) {
    if (!e.isDirectory) continue;
    const folder = `${e.fullPath.replace(/^\//, "")}/`;
    const more = listed(e as FileSystemDirectoryEntry);
    for (let some = await more(); some.length > 0; some = await more()) {
      const files = some.filter((x) => x.isFile) as FileSystemFileEntry[];
      found(
        await Promise.all(
          files.map(async (x) => ({ file: await new Promise<File>((good, bad) => x.file(good, bad)), folder })),
        ),
      );
      await walk(
        some.filter((x) => x.isDirectory),
        found,
      );
    }
  }
}

/** What the chooser of a folder gives: files that know their path. */
export function chosen(files: Iterable<File>): Found[] {
  return [...files].map((file) => ({
    file,
    folder: file.webkitRelativePath.slice(0, file.webkitRelativePath.lastIndexOf("/") + 1),
  }));
}

/** Files that systems leave in folders and nobody wants to send. */
export function litter(name: string, folder = ""): boolean {
  return name.startsWith(".") || /^(thumbs\.db|desktop\.ini)$/i.test(name) || folder.includes("__MACOSX/");
}
