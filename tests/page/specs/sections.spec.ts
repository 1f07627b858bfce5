/** Each section under demo traffic with an outage in it: it shows itself, without errors, in both themes and all widths, accessibly. */
import AxeBuilder from "@axe-core/playwright";

import { SECTIONS, clearFaults, demo, expect, fault, open, outage, test } from "../support/world.ts";

const THEMES = ["light", "dark"] as const;
/** Narrow phone, laptop, wide screen. */
const WIDTHS = [360, 1280, 2560] as const;
const artefacts = process.env["PAGE_ARTEFACTS"] ?? "../../target/page";

test.beforeAll(async () => {
  await outage("sim-swedencentral", "begin");
  await fault({ account: "sim-eastus2", deployment: "support", probability: 0.3, action: { preset: "request_limit" } });
});

test.afterAll(async () => {
  await clearFaults();
  await outage("sim-swedencentral", "end");
});

for (const section of SECTIONS) {
  for (const theme of THEMES) {
    test(`${section} in ${theme} is accessible at every width`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: width === 360 ? 780 : 1100 });
        await open(page, section);
        await page.screenshot({ path: `${artefacts}/${section}-${theme}-${width}.png`, fullPage: true });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(overflow, `${section} does not fit into ${width} px`).toBeLessThanOrEqual(0);
        if (width !== 2560) {
          const { violations } = await new AxeBuilder({ page }).analyze();
          const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
          expect(told, `${section} in ${theme} at ${width} px`).toEqual([]);
        }
      }
    });
  }
}

test("the demo's first errors are said to be staged, and a logarithmic scale says that it is one", async ({ page }) => {
  for (const section of ["overview", "events"]) {
    await open(page, section);
    await expect(page.getByText(/This is a demo\. On purpose it took a simulated region down/)).toBeVisible();
  }
  await open(page, "latency");
  await expect(page.getByText(/latency, on a logarithmic scale/)).toBeVisible();
  await expect(page.getByText(/^Records begin at .*: charts show nothing before/)).toBeVisible();
});

test("nothing jumps while the overview loads", async ({ page }) => {
  await page.addInitScript(() => {
    const shifts: number[] = [];
    Object.assign(window, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) {
        shifts.push(entry.value);
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await open(page, "overview");
  const sum = await page.evaluate(() => (window as unknown as { shifts: number[] }).shifts.reduce((a, b) => a + b, 0));
  // Web Vitals call up to 0.1 good.
  expect(sum).toBeLessThan(0.1);
});

test("the policy of what the page may load is strict, and nothing breaks it", async ({ page, request }) => {
  const answer = await request.get(`${demo().admin}/`);
  const policy = answer.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain("unsafe");
  const broken: string[] = [];
  await page.exposeFunction("policyBroken", (what: string) => broken.push(what));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      const told = `${event.violatedDirective}: ${event.blockedURI}`;
      void (window as unknown as { policyBroken(what: string): Promise<void> }).policyBroken(told);
    });
  });
  for (const section of SECTIONS) {
    await open(page, section);
  }
  expect(broken).toEqual([]);
});
