/** Who is slow, what a heat map's columns say, and where a request's time went. */
import { expect, test } from 'vitest';
import { brightest, logTicks, quantile, rowsUsed, spanOf } from '../src/heat';
import { bySlowness, median } from '../src/slowness';
import type { SeriesGroup, SlowAttempt, SlowRequest } from '../src/types/reading';
import { lastMoment, waterfall } from '../src/waterfall';

function group(key: string, p95: number | null, requests = 100): SeriesGroup {
  return { key, label: key, total: { requests, ttft_p50_ms: 1, ttft_p95_ms: p95, ttft_p99_ms: 9 } } as unknown as SeriesGroup;
}

test('the slowest comes first, and stands out by its distance to the others', () => {
  const ranked = bySlowness([group('a', 100), group('b', 110), group('c', 300)], 'ttft');
  expect(ranked.map((one) => [one.group.key, one.stands_out])).toEqual([
    ['c', true],
    ['b', false],
    ['a', false],
  ]);
  expect(ranked[0]?.times).toBeCloseTo(300 / 105);
});

test('one that is alone, or had few requests, does not stand out', () => {
  expect(bySlowness([group('a', 900)], 'ttft')[0]).toMatchObject({ times: null, stands_out: false });
  expect(bySlowness([group('a', 100), group('b', 900, 5)], 'ttft')[0]).toMatchObject({ stands_out: false });
  expect(bySlowness([group('a', 100, 5), group('b', 900)], 'ttft')[0]).toMatchObject({ times: null, stands_out: false });
});

test('groups without requests are left out, those without a figure come last', () => {
  const ranked = bySlowness([group('none', 5, 0), group('unknown', null), group('a', 1)], 'ttft');
  expect(ranked.map((one) => one.group.key)).toEqual(['a', 'unknown']);
});

test('the median of two is between them', () => {
  expect([median([]), median([3]), median([1, 9, 2]), median([4, 1, 2, 3])]).toEqual([null, 3, 2, 2.5]);
});

const BOUNDS = [10, 20, 40, 80];

test('a row spans from the bound before to its own', () => {
  expect(spanOf(BOUNDS, 0)).toEqual({ low_ms: 5, high_ms: 10 });
  expect(spanOf(BOUNDS, 2)).toEqual({ low_ms: 20, high_ms: 40 });
});

test('only rows with something in them are shown, with a margin', () => {
  expect(rowsUsed({ bounds_ms: BOUNDS, counts: [[0, 0, 1, 0]] })).toEqual({ first: 1, last: 3 });
  expect(rowsUsed({ bounds_ms: BOUNDS, counts: [[5, 0, 0, 0]] })).toEqual({ first: 0, last: 1 });
  expect(rowsUsed({ bounds_ms: BOUNDS, counts: [[0, 0, 0, 0]] })).toBeNull();
});

test('a column’s percentiles lie in the right row', () => {
  expect(quantile([0, 0, 0, 0], BOUNDS, 0.5)).toBeNull();
  expect(quantile([0, 10, 0, 0], BOUNDS, 0.5)).toBeCloseTo(10 * Math.SQRT2);
  expect(quantile([50, 0, 50, 0], BOUNDS, 0.95)).toBeGreaterThan(20);
  expect(quantile([50, 0, 50, 0], BOUNDS, 0.5)).toBeCloseTo(10);
});

test('one outstanding cell does not set the scale', () => {
  const counts = [Array.from({ length: 200 }, (_, i) => i), [100_000]];
  expect(brightest(counts)).toBeLessThan(200);
  expect(brightest([[0, 0]])).toBe(0);
});

test('a logarithmic axis has round ticks, and fewer when there would be too many', () => {
  expect(logTicks(40, 3000, 8).named).toEqual([50, 100, 200, 500, 1000, 2000]);
  expect(logTicks(0.04, 30_000, 8).named).toEqual([0.1, 1, 10, 100, 1000, 10_000]);
  expect(logTicks(60, 400, 8)).toEqual({ at: [60, 70, 80, 90, 100, 200, 300, 400], named: [70, 100, 200, 300] });
  expect(logTicks(90, 110_000, 8).named).toEqual([100, 300, 1000, 3000, 10_000, 30_000, 100_000]);
});

function attempt(change: Partial<SlowAttempt>): SlowAttempt {
  return {
    deployment: 'east/a',
    region: 'east',
    reason: 'home',
    outcome: 'success',
    status: 200,
    began_ms: 2,
    headers_ms: 100,
    total_ms: 300,
    retry_after_ms: null,
    answers: true,
    ...change,
  };
}

function request(change: Partial<SlowRequest>): SlowRequest {
  return { total_ms: 400, body_ms: 2, queue_ms: 0, attempts: [attempt({})], ...change } as SlowRequest;
}

test('each thing a request waited for is a row, in order', () => {
  const throttled = attempt({ outcome: 'throttled', status: 429, total_ms: 50, headers_ms: 50, retry_after_ms: 1200, answers: false });
  const rows = waterfall(request({ queue_ms: 30, attempts: [throttled, attempt({ began_ms: 60, reason: 'spill_no_room' })] }));
  expect(rows.map((row) => [row.label, row.text, row.failed])).toEqual([
    ['body read', '', false],
    ['queue', 'waited for room', false],
    ['east/a', 'home: throttled (429), asked to wait 1.2 s', true],
    ['east/a', 'spill no room: success (200)', false],
  ]);
  expect(rows[1]?.parts).toEqual([{ kind: 'queue', from_ms: 2, to_ms: 32 }]);
  expect(rows[3]?.parts).toEqual([
    { kind: 'waiting', from_ms: 60, to_ms: 160 },
    { kind: 'answering', from_ms: 160, to_ms: 360 },
  ]);
});

test('what took no time has no row, and the line ends with the last to end', () => {
  const rows = waterfall(request({ body_ms: 0.01, total_ms: 100 }));
  expect(rows.map((row) => row.label)).toEqual(['east/a']);
  expect(lastMoment(request({ total_ms: 100 }), rows)).toBe(302);
  expect(lastMoment(request({ total_ms: 500 }), rows)).toBe(500);
});
