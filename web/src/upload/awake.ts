// A phone that goes to sleep stops sending. While the page is seen, the screen may be kept on.
let lock: WakeLockSentinel | null = null;
let wanted = false;

async function apply(): Promise<void> {
  if (wanted && !lock && document.visibilityState === "visible") {
    try {
      lock = (await navigator.wakeLock?.request("screen")) ?? null;
      lock?.addEventListener("release", () => {
        lock = null;
      });
      if (!wanted) await lock?.release();
    } catch {
      // Refused, for example at a low battery: uploads go on when the device wakes up.
    }
  } else if (!wanted && lock) {
    await lock.release().catch(() => {});
  }
}

/** Keeps the screen on, or lets it go to sleep again. */
export function keepAwake(on: boolean): void {
  if (wanted === on) return;
  wanted = on;
  void apply();
}

// The browser takes the lock back whenever the page is hidden.
if (typeof document !== "undefined") document.addEventListener("visibilitychange", () => void apply());
