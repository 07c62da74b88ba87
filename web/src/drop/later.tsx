import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Loading } from "../ui/parts";

/** A part of the page that is fetched when it is first shown. */
export function later<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let known: ComponentType<P> | undefined;
  return function Later(props: P) {
    const [Part, setPart] = useState<ComponentType<P> | undefined>(() => known);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (Part) return;
      load().then(
        (part) => {
          known = part;
          setPart(() => part);
        },
        () => setFailed(true),
      );
    }, []);
    if (failed) return <p role="alert">This part of the page could not be loaded. Reload the page.</p>;
    return Part ? <Part {...props} /> : <Loading />;
  };
}
