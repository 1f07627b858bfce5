/** How the page is tested: Debian's Chromium (or `CHROMIUM`), one worker against one demo, artefacts under `target/page`. */
import { defineConfig } from "@playwright/test";

const artefacts = process.env["PAGE_ARTEFACTS"] ?? "../../target/page";

export default defineConfig({
  testDir: "specs",
  outputDir: `${artefacts}/failures`,
  globalSetup: "./support/setup.ts",
  // One demo, and tests that change its fleet: one after another.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [["list"], ["json", { outputFile: `${artefacts}/results.json` }]],
  use: {
    browserName: "chromium",
    viewport: { width: 1280, height: 900 },
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      // In containers there is no sandbox to be had, and /dev/shm is small.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    },
  },
});
