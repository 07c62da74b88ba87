import type { SVGAttributes } from "preact";

const shapes = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 5 5",
  close: "M6 6l12 12M18 6 6 18",
  upload: "M12 16V4m0 0L7 9m5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3",
  pause: "M8 5v14M16 5v14",
  play: "M7 4.5 19 12 7 19.5Z",
  retry: "M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7",
  first: "M5 4h14M12 20V9m0 0-5 5m5-5 5 5",
  folder: "M3 7a1 1 0 0 1 1-1h5l2 2h9a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1Z",
  check: "M5 12.5 10 17.5 19 7",
  warn: "M12 4 2.5 20h19L12 4Zm0 6v4.5m0 2.7v.1",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 8v5.5m0-8.7v.1",
  error: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm-3.3 5.7 6.6 6.6m0-6.6-6.6 6.6",
  minus: "M6 12h12",
  video: "M4 6h11a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1Zm12 5 5-3v8l-5-3",
  image: "M4 5h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Zm-1 11 5-5 4 4 3-3 6 5M15.5 9v.1",
  audio: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10.5v3",
  other: "M7 3h7l5 5v12a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm7 0v5h5",
  sphere: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm-9 9c0 2 4 3.5 9 3.5s9-1.5 9-3.5M12 3c-2.3 0-4 4-4 9s1.7 9 4 9",
  import: "M12 4v11m0 0-5-5m5 5 5-5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  copy: "M9 9h11v11H9ZM5 15H4V4h11v1",
  trash: "M4 7h16M9 7V4h6v3m-8 0 1 13h8l1-13",
  share:
    "M16 6.5 8 11m0 2 8 4.5M18 8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm0 12a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM6 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  file: "M7 3h7l5 5v12a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm7 0v5h5",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.5 8a7.5 7.5 0 0 1 15 0",
  reset: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-6v3m0 14v3M2 12h3m14 0h3",
} as const;

export type IconName = keyof typeof shapes;

/** A line icon. It is decoration: the words beside it, or the button's label, say what it means. */
export function Icon({ name, size = 20, ...rest }: { name: IconName; size?: number } & SVGAttributes<SVGSVGElement>) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill={name === "play" ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width="1.9"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
      {...rest}
    >
      <path d={shapes[name]} />
    </svg>
  );
}

/** Two lands and the strip that joins them. */
export function Logo({ class: cls = "logo" }: { class?: string }) {
  return (
    <svg class={cls} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#0b6e69" />
      <path
        d="M5 9c5-3 8 0 8 3.5S15 15 16 15s3 1 3-2.5S22 6 27 9v14c-5 3-8 0-8-3.5S17 17 16 17s-3-1-3 2.5S10 26 5 23z"
        fill="#f7e3bf"
      />
    </svg>
  );
}
