// Looking around in a sphere with the keyboard, the same for video and stills.

/** Degrees that one press of an arrow key turns the view. */
export const STEP = 6;

/** What a key does to the view, in degrees; null when it is not a key for looking around. */
export function turn(key: string): { yaw: number; pitch: number } | null {
  switch (key) {
    case "ArrowLeft":
      return { yaw: -STEP, pitch: 0 };
    case "ArrowRight":
      return { yaw: STEP, pitch: 0 };
    case "ArrowUp":
      return { yaw: 0, pitch: STEP };
    case "ArrowDown":
      return { yaw: 0, pitch: -STEP };
    default:
      return null;
  }
}

/** Whether an element wants the arrow keys for itself: sliders, menus, lists. */
export function usesArrows(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest(
      'input, select, textarea, [role="menu"], [role="slider"], .shaka-settings-menu, .shaka-overflow-menu',
    ) !== null
  );
}
