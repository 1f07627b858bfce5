/** What the page does when its live stream breaks. */
import { expect, test } from "@playwright/test";

import { cutter } from "../support/stream.ts";
import { api } from "../support/world.ts";

const DEPLOYMENT = "sim-northcentralus/support";
const WRITE = { "content-type": "application/json", "x-emberway-csrf": "1" };

test("a break of the stream is shown, and mended by itself without losing an event", async ({ page }) => {
  const thrown: string[] = [];
  page.on("pageerror", (error) => thrown.push(error.stack ?? error.message));
  const stream = await cutter();
  try {
    await page.goto(`${stream.url}/#/events`);
    await expect(page.getByText("Live", { exact: true })).toBeVisible();
    await expect(page.locator("ol li").first()).toBeVisible();
    stream.cut();
    await expect(page.getByText("Reconnecting", { exact: true })).toBeVisible();
    // It goes on trying while nobody answers, and does not say that it is live.
    await expect.poll(() => stream.refused()).toBeGreaterThanOrEqual(2);
    await expect(page.getByText("Reconnecting", { exact: true })).toBeVisible();
    await expect(page.getByText("Live", { exact: true })).toHaveCount(0);
    // What happens meanwhile is told after it.
    await api("drains", { method: "POST", headers: WRITE, body: JSON.stringify({ kind: "deployment", name: DEPLOYMENT, for_s: 600 }) });
    await api(`drains?kind=deployment&name=${DEPLOYMENT}`, { method: "DELETE", headers: WRITE });
    const told = page.locator("ol li").filter({ hasText: new RegExp(`${DEPLOYMENT} is drained`) });
    const before = await told.count();
    stream.mend();
    await expect(page.getByText("Live", { exact: true })).toBeVisible({ timeout: 40_000 });
    expect(stream.resumedAfter()).toMatch(/^\d+$/);
    await expect.poll(() => told.count()).toBe(before + 1);
    expect(thrown).toEqual([]);
  } finally {
    await stream.close();
  }
});
