/** Rates, thinning, and ticks laid onto a series. */
import { expect, test } from 'vitest';
import { COUNTS, LATENCIES, rates, thinned, withTick } from '../src/series';
import type { Figures, Points, Series } from '../src/types/reading';
import type { Tick } from '../src/types/state';

const STEP_MS = 10_000;

function figures(requests: number): Figures {
  const all = Object.fromEntries([...COUNTS.map((member) => [member, 0]), ...LATENCIES.map((member) => [member, 5])]);
  return { ...all, requests, outcomes: {}, reasons: {} } as Figures;
}

function series(requests: readonly number[], step_ms = STEP_MS): Series {
  const points = Object.fromEntries([
    ...COUNTS.map((member) => [member, requests.map((value) => (member === 'requests' ? value : 0))]),
    ...LATENCIES.map((member) => [member, requests.map(() => 4)]),
  ]) as Points;
  const starts_ms = requests.map((_, i) => i * step_ms);
  const to_ms = requests.length * step_ms;
  return { from_ms: 0, to_ms, ran_to_ms: to_ms, step_ms, starts_ms, groups: [{ key: '', label: '', total: figures(0), points }] };
}

/** A tick whose last whole interval began at `start_ms`. */
function tick(start_ms: number): Tick {
  const status = { ready: true, draining: false, requests_running: 0, config: { generation: 1, last_error: null } };
  return { at_ms: start_ms + STEP_MS + 500, status, deployments: [], last: { at_ms: start_ms, step_ms: STEP_MS, figures: figures(9) } };
}

test('a step that has just begun has no rate, one that is half done is scaled', () => {
  const begun = { starts_ms: [0, 10_000], step_ms: STEP_MS, ran_to_ms: 14_000 };
  expect(rates(begun, [50, 50])).toEqual([5, null]);
  expect(rates({ ...begun, ran_to_ms: 15_000 }, [50, 50])).toEqual([5, 10]);
});

test('there is no rate before the records, and that of their first step is of the time since', () => {
  const cut = { starts_ms: [0, 16_000, 20_000, 30_000], since_ms: 16_000, step_ms: STEP_MS, ran_to_ms: 40_000 };
  expect(rates(cut, [0, 8, 10, 10])).toEqual([null, 2, 1, 1]);
});

test('thinning keeps gaps and means', () => {
  expect(thinned([1, 3, null, null, 5, 7], 3)).toEqual([2, null, 6]);
  expect(thinned([1, 2], 3)).toEqual([1, 2]);
});

test('a new tick moves the series on and keeps its length', () => {
  const moved = withTick(series([1, 2, 3]), tick(30_000));
  expect(moved.starts_ms).toEqual([10_000, 20_000, 30_000]);
  expect(moved.groups[0]?.points.requests).toEqual([2, 3, 9]);
  expect(moved.groups[0]?.points.ttft_p95_ms).toEqual([4, 4, 5]);
  expect([moved.from_ms, moved.to_ms, moved.ran_to_ms]).toEqual([10_000, 40_000, 40_000]);
});

test('a tick of the last step replaces it', () => {
  const same = withTick(series([1, 2, 3]), tick(20_000));
  expect(same.starts_ms).toEqual([0, 10_000, 20_000]);
  expect(same.groups[0]?.points.requests).toEqual([1, 2, 9]);
});

test('ticks that do not fit leave the series as it is', () => {
  const read = series([1, 2, 3]);
  expect(withTick(read, tick(10_000))).toBe(read);
  expect(withTick(read, tick(80_000))).toBe(read);
  expect(withTick(read, tick(0))).toBe(read);
  const coarse = series([1, 2, 3], 60_000);
  expect(withTick(coarse, tick(180_000))).toBe(coarse);
});

test('a thousand ticks leave no more than there was', () => {
  let now = series([1, 2, 3]);
  for (let i = 0; i < 1000; i += 1) now = withTick(now, tick(30_000 + i * STEP_MS));
  expect(now.starts_ms).toHaveLength(3);
  expect(now.groups[0]?.points.errors).toHaveLength(3);
  expect(now.to_ms).toBe(30_000 + 1000 * STEP_MS);
});
