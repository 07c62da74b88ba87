import { useNow } from "../ui/trouble";
import { countdown } from "./words";

/** The time until something happens, counted by the second. */
export function Countdown({ at }: { at: string }) {
  const now = useNow();
  return <time dateTime={at}>{countdown(at, now)}</time>;
}
