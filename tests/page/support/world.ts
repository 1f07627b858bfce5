/** What tests know of the demo, and what they do to its fleet. */
import { test as base, expect, type Page } from "@playwright/test";

import type { Places } from "./demo.ts";

/** Where the demo is. */
export function demo(): Places {
  const told = process.env["PAGE_PLACES"];
  if (told === undefined) {
    throw new Error("no demo was started");
  }
  return JSON.parse(told) as Places;
}

/** A fault of the simulator, as `POST /control/faults` takes it. */
export interface Fault {
  readonly account?: string;
  readonly deployment?: string;
  readonly probability?: number;
  readonly count?: number;
  readonly action: Record<string, unknown>;
}

async function control(method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(`${demo().control}/control/${path}`, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  }
  return text === "" ? undefined : JSON.parse(text);
}

/** Adds a fault; all are gone with `clearFaults`. */
export async function fault(fault: Fault): Promise<void> {
  await control("POST", "faults", fault);
}

/** Takes all faults away. */
export async function clearFaults(): Promise<void> {
  await control("DELETE", "faults");
}

/** An outage of a simulated account, and its end. */
export async function outage(account: string, is: "begin" | "end"): Promise<void> {
  await control("POST", `accounts/${account}/${is === "begin" ? "stop" : "start"}`);
}

/** Asks the admin API; throws unless it answers 2xx. */
export async function api<T>(path: string, options: RequestInit = {}): Promise<T> {
  const answer = await fetch(`${demo().admin}/api/v1/${path}`, options);
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`${path}: ${answer.status} ${text}`);
  }
  return JSON.parse(text) as T;
}

/** Sends one chat through the gateway. */
export async function chat(model: string, words: string): Promise<number> {
  const { gateway, key } = demo();
  const answer = await fetch(`${gateway}/openai/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "api-key": key },
    body: JSON.stringify({ model, max_tokens: 8, messages: [{ role: "user", content: words }] }),
  });
  await answer.text();
  return answer.status;
}

/** The names of the page's sections, with a heading that each shows. */
export const SECTIONS = ["overview", "latency", "fleet", "routing", "configure", "cache", "usage", "events", "import"] as const;

/** Opens a section and waits until its figures are there. */
export async function open(page: Page, section: string, query = ""): Promise<void> {
  await page.goto(`${demo().admin}/#/${section}${query}`);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
}

/** A test that fails when the page writes an error to its console, throws, or asks anybody but the gateway. */
export const test = base.extend<{ clean: void }>({
  clean: [
    async ({ page }, use) => {
      const wrong: string[] = [];
      page.on("pageerror", (error) => wrong.push(`threw ${error.stack ?? error.message}`));
      page.on("console", (message) => {
        if (message.type() === "error") {
          wrong.push(`console: ${message.text()}`);
        }
      });
      page.on("request", (request) => {
        const url = new URL(request.url());
        if (["http:", "https:", "ws:", "wss:"].includes(url.protocol) && url.origin !== demo().admin) {
          wrong.push(`asked ${url.href}`);
        }
      });
      await use();
      expect(wrong).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };
