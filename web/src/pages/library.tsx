import type { PageProps } from "../app";
import { LibraryView } from "../library/view";

export default function Library({ params }: PageProps) {
  return <LibraryView hub={params.hub!} />;
}
