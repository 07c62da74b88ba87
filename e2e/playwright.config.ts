import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

const root = process.getuid?.() === 0;

// Two workers, each with a server of its own; the tests of a file share it, one after the other.
export default defineConfig<object, { database: string }>({
  testDir: ".",
  testMatch: "*.test.ts",
  outputDir: "../test-results",
  workers: 2,
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  timeout: 600_000,
  expect: { timeout: 40_000 },
  reporter: [["list"]],
  // The longest comes first, so that nothing waits for it alone at the end.
  projects: [
    { name: "postgres", testMatch: "outcome.test.ts", use: { database: process.env.ISTHMUS_TEST_POSTGRES ?? "" } },
    { name: "sqlite", testIgnore: "outcome.test.ts" },
  ],
  use: {
    viewport: { width: 1280, height: 860 },
    actionTimeout: 40_000,
    // Without a film and a copy of each page, which cost a software-drawn browser more than the tests themselves.
    trace: { mode: "retain-on-failure", screenshots: false, snapshots: false },
    screenshot: "only-on-failure",
    launchOptions: {
      // The system's Chromium: the browser that Playwright would fetch is not needed.
      executablePath: process.env.CHROMIUM ?? (existsSync("/usr/bin/chromium") ? "/usr/bin/chromium" : undefined),
      args: [
        ...(root ? ["--no-sandbox"] : []),
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // WebGL without a graphics card.
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        // Pages themselves are put together without it: half of a browser's processor time.
        "--disable-gpu-compositing",
      ],
    },
  },
});
