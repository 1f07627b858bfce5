/** A newcomer's three tasks, timed: who is slow; what would moving traffic do to the cache; move it. */
import { writeFile } from "node:fs/promises";

import { api, chat, clearFaults, demo, expect, fault, open, test } from "../support/world.ts";

const artefacts = process.env["PAGE_ARTEFACTS"] ?? "../../target/page";
/** How long each task takes a script, from the overview to its end: what the page and the gateway need, without a person's reading. */
const took = new Map<string, number>();

interface Routing {
  pools: { name: string; tiers: { deployment: string; weight: number }[][] }[];
}

test.describe.serial("a newcomer's tasks", () => {
  test.afterAll(async () => {
    await clearFaults();
    const told = Object.fromEntries([...took].map(([task, ms]) => [task, Math.round(ms)]));
    await writeFile(`${artefacts}/tasks.json`, `${JSON.stringify(told, undefined, 2)}\n`);
  });

  test("find which deployment is slow", async ({ page }) => {
    await fault({ account: "sim-eastus2", deployment: "summary", action: { delay: { ms: 1_500 } } });
    // Enough of what is slow for its percentiles: each prompt is another, so that both deployments get some.
    for (let round = 0; round < 12; round += 1) {
      const words = Array.from({ length: 8 }, (_, index) => `Sum up letter ${round}-${index}.`);
      const statuses = await Promise.all(words.map((text) => chat("summary", text)));
      expect(statuses.every((status) => status === 200)).toBe(true);
    }
    await open(page, "overview", "?range=15m");
    const begun = performance.now();
    await page.getByRole("link", { name: "Latency" }).click();
    await page.getByRole("radio", { name: "Whole request" }).or(page.getByRole("button", { name: "Whole request" })).first().click();
    const verdict = page.locator(".who-verdict");
    await expect(verdict).toContainText("sim-eastus2/summary is slow");
    took.set("find the slow deployment", performance.now() - begun);
    await page.screenshot({ path: `${artefacts}/task-slow.png` });
  });

  test("see what moving a fifth of a route's traffic would do to the cache", async ({ page }) => {
    await clearFaults();
    await open(page, "overview");
    const begun = performance.now();
    await page.getByRole("link", { name: "Configure" }).click();
    await page.getByLabel("Route", { exact: true }).selectOption("support-bot");
    await page.getByLabel("From", { exact: true }).selectOption("swedencentral");
    await page.getByLabel("To", { exact: true }).selectOption("eastus2");
    await page.getByLabel("How much of what it has there").fill("20");
    await expect(page.locator(".move-plan")).toContainText("sim-eastus2/support 20 %");
    await page.getByRole("button", { name: "Put into the text" }).click();
    // What was put there is told, and not what the same move would come to from there.
    await expect(page.locator(".move-plan")).toContainText("It is in the text");
    await expect(page.locator(".move-plan")).toContainText("sim-eastus2/support 20 %");
    await expect(page.getByRole("button", { name: "Put into the text" })).toBeDisabled();
    await page.getByRole("button", { name: "Next: Difference" }).click();
    await page.getByRole("button", { name: "Next: What if" }).click();
    await page.getByRole("button", { name: "Play" }).click();
    const outcome = page.getByRole("row", { name: /Prompt tokens found cached/ });
    await expect(outcome).toContainText("%");
    took.set("see what it would do to the cache", performance.now() - begun);
    await page.screenshot({ path: `${artefacts}/task-what-if.png`, fullPage: true });

    const then = performance.now();
    await page.getByRole("button", { name: "Next: Apply" }).click();
    await page.getByLabel("Why this change").fill("eastus2 has room");
    await page.getByRole("button", { name: "Apply", exact: true }).click();
    await expect(page.getByText(/Version \d+ is in use, as generation/)).toBeVisible();
    took.set("move the traffic", performance.now() - then);
    await page.screenshot({ path: `${artefacts}/task-applied.png`, fullPage: true });

    const { pools } = await api<Routing>("routing");
    const tier = pools.find(({ name }) => name === "support")?.tiers[0] ?? [];
    const whole = tier.reduce((sum, { weight }) => sum + weight, 0);
    const moved = tier.find(({ deployment }) => deployment === "sim-eastus2/support")?.weight ?? 0;
    expect(moved / whole).toBeCloseTo(0.2, 2);
  });

  test("go back to how it was", async ({ page }) => {
    await open(page, "configure");
    await page.getByRole("button", { name: "Versions" }).click();
    const versions = page.getByRole("region", { name: "Versions of the configuration" });
    await expect(versions).toContainText("eastus2 has room");
    // The one before the newest.
    await versions.getByRole("row").nth(2).getByRole("button").click();
    await page.getByRole("button", { name: "Restore…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
    await expect(page.getByText(/is in use again, as version/)).toBeVisible();
    const { pools } = await api<Routing>("routing");
    expect(pools.find(({ name }) => name === "support")?.tiers[0]).toHaveLength(1);
    expect(demo().admin).toContain("127.0.0.1");
  });
});
