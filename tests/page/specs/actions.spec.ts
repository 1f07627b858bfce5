/** Everything that can be done on the page, by hand of a browser, with the gateway's own word that it was done. */
import { readFile } from "node:fs/promises";

import type { Locator, Page } from "@playwright/test";

import { api, expect, open, outage, test } from "../support/world.ts";

const DEPLOYMENT = "sim-northcentralus/support";

/** The deployments of the fleet; regions below have buttons of the same words. */
function fleet(page: Page): Locator {
  return page.getByRole("region", { name: "Deployments, one a row" });
}

interface Drains {
  drains: { kind: string; name: string; left_s: number | null }[];
}

test("a deployment is taken out and put back", async ({ page }) => {
  await open(page, "fleet");
  await page.getByRole("button", { name: `Open ${DEPLOYMENT}` }).click();
  await fleet(page).getByRole("button", { name: "Take out…" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toContainText("take over");
  await dialog.getByLabel("For how long").selectOption({ label: "10 minutes" });
  await dialog.getByRole("button", { name: "Take out" }).click();
  await expect(fleet(page).getByRole("button", { name: "Put back" })).toBeVisible();
  const { drains } = await api<Drains>("drains");
  expect(drains.map(({ name }) => name)).toEqual([DEPLOYMENT]);
  expect(drains[0]?.left_s).toBeGreaterThan(500);
  await fleet(page).getByRole("button", { name: "Put back" }).click();
  await expect(fleet(page).getByRole("button", { name: "Take out…" })).toBeVisible();
  expect((await api<Drains>("drains")).drains).toEqual([]);
});

test("a pool's last usable deployment is taken out only by force", async ({ page }) => {
  await outage("sim-eastus2", "begin");
  try {
    await open(page, "fleet");
    const lonely = "sim-swedencentral/summary";
    await api("drains", {
      method: "POST",
      headers: { "content-type": "application/json", "x-emberway-csrf": "1" },
      body: JSON.stringify({ kind: "deployment", name: "sim-eastus2/summary", force: true }),
    });
    await page.reload();
    await page.getByRole("button", { name: `Open ${lonely}` }).click();
    await fleet(page).getByRole("button", { name: "Take out…" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog).toContainText("nobody usable is left");
    await expect(dialog.getByRole("button", { name: "Take out" })).toBeDisabled();
    await dialog.getByLabel(/Take it out all the same/).check();
    await expect(dialog.getByRole("button", { name: "Take out" })).toBeEnabled();
    await dialog.getByRole("button", { name: "Cancel" }).click();
  } finally {
    await api("drains?kind=deployment&name=sim-eastus2/summary", { method: "DELETE", headers: { "x-emberway-csrf": "1" } });
    await outage("sim-eastus2", "end");
  }
});

test("a deployment is pinged, and the call is in the books", async ({ page }) => {
  const before = Date.now();
  await open(page, "fleet");
  await page.getByRole("button", { name: `Open ${DEPLOYMENT}` }).click();
  await page.getByRole("button", { name: "Ping…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Ping" }).click();
  await expect(page.getByText(`${DEPLOYMENT} answered in`)).toBeVisible();
  await expect
    .poll(async () => {
      const { rows } = await api<{ rows: { key: string; requests: number }[] }>(
        `usage?by=client&from_ms=${before}&to_ms=${Date.now() + 1}`,
      );
      return rows.find(({ key }) => key === "emberway")?.requests ?? 0;
    })
    .toBeGreaterThanOrEqual(1);
});

test("what cannot be made again says why", async ({ page }) => {
  await open(page, "fleet");
  await page.getByRole("button", { name: `Open ${DEPLOYMENT}` }).click();
  await expect(page.getByRole("button", { name: "Make it again…" })).toBeDisabled();
  await expect(page.getByText(/It cannot be made again from here/)).toBeVisible();
});

test("a pasted request is explained, and a wrong one says what is wrong", async ({ page }) => {
  await open(page, "routing");
  const body = page.getByLabel(/Body of a chat completion/);
  await body.fill('{"model": "support-bot", "messages": [{"role": "user", "content": "Where is my parcel?"}]}');
  await page.getByRole("button", { name: "Explain", exact: true }).click();
  const answer = page.getByRole("list", { name: "Who would be asked, in this order" });
  await expect(answer).toContainText("sim-swedencentral/support-ptu");
  await body.fill("{no json");
  await page.getByRole("button", { name: "Explain", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("JSON");
});

test("what is typed into the editor is checked as it is typed, with line and remedy", async ({ page }) => {
  await open(page, "configure", "?tab=yaml");
  const editor = page.locator(".cm-content");
  await expect(editor).toContainText("listeners");
  await editor.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type("\nroutez: []\n");
  await expect(page.getByText(/unknown field|routez/).first()).toBeVisible();
  await expect(page.getByText(/1 error/).first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Undo" })).toBeEnabled();
});

test("a LiteLLM file is graded line by line and goes on to the editor", async ({ page }) => {
  await open(page, "import");
  await page.getByLabel(/LiteLLM.s config.yaml/).fill(
    [
      "model_list:",
      "  - model_name: support-bot",
      "    litellm_params:",
      "      model: azure/support",
      "      api_base: https://one.openai.azure.com",
      "      api_key: os.environ/AZURE_KEY",
      "router_settings:",
      "  num_retries: 3",
      "",
    ].join("\n"),
  );
  await page.getByRole("button", { name: "Convert" }).click();
  const lines = page.getByRole("region", { name: "Each line and its grade" });
  await expect(lines).toContainText("exact");
  await expect(page.getByLabel("The configuration as YAML")).toContainText("routes:");
  await page.getByRole("button", { name: "Open in Configure…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Open" }).click();
  await expect(page).toHaveURL(/#\/configure/);
});

test("usage is saved as CSV", async ({ page }) => {
  await open(page, "usage", "?range=24h");
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "CSV" }).first().click();
  const text = await readFile(await (await download).path(), "utf8");
  expect(text.split("\n")[0]).toContain("requests");
  expect(text).toContain("sim-");
});

test("events tell of an outage in words, and the list is filtered by the address", async ({ page }) => {
  await open(page, "events", "?kind=breaker");
  await expect(page.locator("ol li").first()).toContainText("sim-swedencentral");
  await page.getByLabel("Kind").selectOption("failover");
  await expect(page).toHaveURL(/kind=failover/);
  await expect(page.locator("ol li").first()).toContainText(/went on/);
});

test("the slowest request opens to where its time went", async ({ page }) => {
  await open(page, "latency", "?range=15m");
  const rows = page.getByRole("region", { name: "Slowest requests" });
  await rows.getByRole("button", { name: /Open|Details/ }).first().click();
  await expect(rows).toContainText("placed because");
});

test("sections open by keyboard, the theme turns, the picture is held", async ({ page }) => {
  await open(page, "overview");
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await expect(page).toHaveURL(/#\/latency/);
  const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.keyboard.press("t");
  await expect.poll(() => page.evaluate(() => getComputedStyle(document.body).backgroundColor)).not.toBe(before);
  await page.keyboard.press("p");
  await expect(page.getByText("Paused", { exact: true })).toBeVisible();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog")).toContainText("Keyboard");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("a viewer sees everything and is told why nothing can be done", async ({ page }) => {
  await page.route("**/api/v1/session", async (route) => {
    const answer = await route.fetch();
    const session = { ...((await answer.json()) as object), role: "viewer" };
    await route.fulfill({ response: answer, json: session });
  });
  await open(page, "fleet");
  await page.getByRole("button", { name: `Open ${DEPLOYMENT}` }).click();
  await expect(fleet(page).getByRole("button", { name: "Take out…" })).toBeDisabled();
  await expect(page.getByText(/need the role operator/)).toBeVisible();
});
