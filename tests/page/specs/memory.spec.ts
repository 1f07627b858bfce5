/** Days of the live stream do not grow the page. */
import { expect, test, type CDPSession } from "@playwright/test";

import { player, TICK_MS } from "../support/stream.ts";

const HOUR = 3_600_000 / TICK_MS;

// A trace keeps what it saw of the document within the page: megabytes that are not the page's own.
test.use({ trace: "off" });

const DAYS = 6;
/**
 * The heap of a page that keeps nothing goes up and down by up to 2 MB: what the engine compiles, and what it has not given back yet. So many
 * days are played that this is less than 12 bytes a tick; what is kept of a tick is some hundred.
 */
const GROWN_BYTES_MAX = 3_000_000;
/** Two measurements that differ by less show that the page has read all that was sent to it. */
const SETTLED_BYTES = 20_000;

/** Bytes of JavaScript's heap in use once what nobody needs is collected, and how many nodes the document has. */
async function inUse(session: CDPSession): Promise<{ bytes: number; nodes: number }> {
  let bytes = 0;
  await expect
    .poll(async () => {
      const before = bytes;
      await session.send("HeapProfiler.collectGarbage");
      bytes = (await session.send("Runtime.getHeapUsage")).usedSize;
      return Math.abs(bytes - before);
    })
    .toBeLessThan(SETTLED_BYTES);
  const { nodes } = await session.send("Memory.getDOMCounters");
  return { bytes, nodes };
}

for (const section of ["overview", "fleet", "events"]) {
  test(`${section} is no larger after six days of the stream than after two hours`, async ({ page }) => {
    test.setTimeout(180_000);
    const stream = await player();
    await page.goto(`${stream.url}/#/${section}`);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
    const session = await page.context().newCDPSession(page);
    await stream.play(2 * HOUR);
    const early = await inUse(session);
    for (let day = 1; day <= DAYS; day += 1) {
      await stream.play((day === 1 ? 22 : 24) * HOUR);
    }
    const late = await inUse(session);
    test.info().annotations.push({ type: "heap", description: `${early.bytes} then ${late.bytes} bytes` });
    expect(late.bytes - early.bytes, `${early.bytes} then ${late.bytes} bytes`).toBeLessThan(GROWN_BYTES_MAX);
    expect(late.nodes - early.nodes).toBeLessThan(500);
    await stream.close();
  });
}
