/** What is asked of a range, and how long the steps of its answer ran. */
import { afterEach, expect, test, vi } from 'vitest';
import * as api from '../src/api';
import { rates } from '../src/series';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const LAST_WEEK_MS = 500_000 * HOUR_MS;

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Rates of a range that the gateway answers in two steps of an hour with 3,600 requests each. */
async function told(to_ms: number, now_ms: number) {
  vi.useFakeTimers({ now: now_ms });
  const starts_ms = [LAST_WEEK_MS, LAST_WEEK_MS + HOUR_MS];
  const answer = { from_ms: LAST_WEEK_MS, to_ms: LAST_WEEK_MS + 2 * HOUR_MS, step_ms: HOUR_MS, starts_ms, groups: [] };
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(answer))));
  const series = await api.series({ from_ms: LAST_WEEK_MS + MINUTE_MS, to_ms }, 'none', 60);
  return { from_ms: series.from_ms, to_ms: series.to_ms, rates: rates(series, [3600, 3600]) };
}

test.each([35, 20])('the last step of a past range ran whole, though the range ends %d minutes into it', async (minutes) => {
  const to_ms = LAST_WEEK_MS + HOUR_MS + minutes * MINUTE_MS;
  const range = { from_ms: LAST_WEEK_MS + MINUTE_MS, to_ms };
  expect(await told(to_ms, LAST_WEEK_MS + 99 * HOUR_MS)).toEqual({ ...range, rates: [1, 1] });
});

test('the last step of a range that ends now has run until now', async () => {
  const now_ms = LAST_WEEK_MS + 1.5 * HOUR_MS;
  expect((await told(now_ms, now_ms)).rates).toEqual([1, 2]);
  expect((await told(now_ms + HOUR_MS, now_ms)).rates).toEqual([1, 2]);
  expect((await told(now_ms - HOUR_MS / 6, now_ms - HOUR_MS / 6)).rates).toEqual([1, null]);
});
