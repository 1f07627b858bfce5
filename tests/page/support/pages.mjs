/**
 * Opens the page for measurements, as benches/page/run.py asks:
 *
 *     node pages.mjs URL measure N    the first view in N fresh browsers, as JSON: bytes, first paint, last figure
 *     node pages.mjs URL open N       N pages, each a visitor of its own; says "open" and stays until its standard input ends
 */
import { chromium } from "@playwright/test";

const [url, what, count] = process.argv.slice(2);
const SECTIONS = ["overview", "latency", "fleet", "routing", "cache", "usage", "events"];

function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** Waits until a section's figures are there. */
async function complete(page) {
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.waitForFunction(() => document.querySelector("[aria-busy=true]") === null);
}

async function measure(times) {
  const figures = { bytes: [], paint_ms: [], complete_ms: [] };
  for (let index = 0; index < times; index += 1) {
    const browser = await launch();
    const page = await browser.newPage();
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    let bytes = 0;
    session.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
    const begun = performance.now();
    await page.goto(`${url}/#/overview`);
    await complete(page);
    figures.complete_ms.push(performance.now() - begun);
    const paint = await page.evaluate(
      () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.NaN,
    );
    figures.paint_ms.push(paint);
    figures.bytes.push(bytes);
    await browser.close();
  }
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

async function open(pages) {
  const browser = await launch();
  for (let index = 0; index < pages; index += 1) {
    // Connections are bounded for a visitor, not for a browser.
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${url}/#/${SECTIONS[index % SECTIONS.length]}`);
    await complete(page);
  }
  process.stdout.write("open\n");
  for await (const _ of process.stdin) {
    // Nothing is said; its end is the sign.
  }
  await browser.close();
}

await (what === "measure" ? measure(Number(count)) : open(Number(count)));
