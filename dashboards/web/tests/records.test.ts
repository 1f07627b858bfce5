/** Where records begin, and what is cut away before. */
import { expect, test } from 'vitest';
import { askedFrom, noneOf, ranFor, recorded, recordedHeat, sinceWords } from '../src/records';
import { rates } from '../src/series';
import type { Points, Series } from '../src/types/reading';

const STEP_MS = 60_000;
const STEPS = 60;
const HOUR_MS = STEPS * STEP_MS;

/** An hour in steps of a minute, with requests from a step on. */
function hour(first: number): Series {
  const starts_ms = Array.from({ length: STEPS }, (_, i) => i * STEP_MS);
  const requests = starts_ms.map((_, i) => (i >= first ? 5 : 0));
  const points = { requests, errors: requests.map(() => 0) } as unknown as Points;
  return {
    from_ms: 0,
    to_ms: HOUR_MS,
    ran_to_ms: HOUR_MS,
    step_ms: STEP_MS,
    starts_ms,
    groups: [{ key: '', label: '', total: {} as never, points }],
  };
}

function check(first: number, started_ms: number | null, from_step: number, since_ms: number | null): void {
  const told = recorded(hour(first), started_ms);
  expect(told.since_ms).toBe(since_ms);
  const first_ms = from_step * STEP_MS;
  const starts_within = since_ms !== null && first_ms < since_ms && since_ms < first_ms + STEP_MS;
  expect(told.series.starts_ms[0]).toBe(starts_within ? since_ms : first_ms);
  expect(told.series.since_ms).toBe(since_ms ?? undefined);
  expect(told.series.from_ms).toBe(from_step * STEP_MS);
  for (const { points } of told.series.groups) {
    expect(points.requests).toHaveLength(STEPS - from_step);
    expect(points.errors).toHaveLength(STEPS - from_step);
  }
}

test('charts begin with the process', () => {
  check(45, 40.5 * STEP_MS, 40, 40.5 * STEP_MS);
});

test('a step that the process started in does not make it older', () => {
  check(40, 40.5 * STEP_MS, 40, 40.5 * STEP_MS);
});

test('what the store knows from before the process is shown', () => {
  check(20, 40 * STEP_MS, 20, 20 * STEP_MS);
  check(0, 40 * STEP_MS, 0, null);
});

test('an idle gateway that runs for longer than the range shows all of it', () => {
  check(45, -1, 0, null);
  check(STEPS, -1, 0, null);
  check(45, null, 0, null);
});

test('five minutes are shown, however new the gateway is', () => {
  check(59, 59 * STEP_MS, 55, 59 * STEP_MS);
  check(STEPS, HOUR_MS - 1, 55, HOUR_MS - 1);
});

test('what is said and what is drawn begin at the same moment', () => {
  const started_ms = 57.5 * STEP_MS;
  const { series, since_ms } = recorded(hour(58), started_ms);
  const drawn = rates(series, series.groups[0]?.points.requests ?? []);
  const first = drawn.findIndex((rate) => rate !== null);
  expect(since_ms).toBe(started_ms);
  expect(series.starts_ms[first]).toBe(since_ms);
  expect(drawn.slice(first)).toEqual([0, 5 / 60, 5 / 60]);
  expect(sinceWords(started_ms, started_ms)).toMatch(/^Records begin at \d\d:57:30: charts show nothing before/);
});

test('a heat map loses the same columns', () => {
  const { starts_ms } = hour(0);
  const heat = { step_ms: STEP_MS, starts_ms, bounds_ms: [1, 2], counts: starts_ms.map((_, i) => [0, i >= 50 ? 3 : 0]) };
  const told = recordedHeat(heat, 45 * STEP_MS);
  expect(told.starts_ms[0]).toBe(45 * STEP_MS);
  expect(told.counts).toHaveLength(15);
  expect(recordedHeat(heat, null)).toEqual(heat);
});

test('what is asked begins with the records too', () => {
  expect(askedFrom(0, HOUR_MS, null)).toBe(0);
  expect(askedFrom(0, HOUR_MS, HOUR_MS / 2)).toBe(HOUR_MS / 2);
  expect(askedFrom(0, HOUR_MS, HOUR_MS - 1)).toBe(HOUR_MS - 5 * STEP_MS);
});

test('rates are of the time that is known', () => {
  const time = { from_ms: 10 * STEP_MS, to_ms: HOUR_MS };
  expect(ranFor(time, null)).toBe(50 * STEP_MS);
  expect(ranFor(time, 20 * STEP_MS)).toBe(40 * STEP_MS);
  expect(ranFor(time, 5 * STEP_MS)).toBe(50 * STEP_MS);
  // An hour of last week without a request: this process began after it.
  expect(ranFor(time, 2 * HOUR_MS)).toBe(50 * STEP_MS);
});

test('a time that is not kept is not called quiet', () => {
  expect(noneOf({ starts_ms: [] }, true, 'No requests')).toMatch(/^No records are kept of this time/);
  expect(noneOf({ starts_ms: [0] }, true, 'No requests')).toBe('No requests');
  expect(noneOf({ starts_ms: [0] }, false, 'No requests')).toBeNull();
});
