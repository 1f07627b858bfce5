/** Days on a time line, and sums of costs. */
import { expect, test } from 'vitest';
import { day } from '../src/format';
import type { CostRow, UsageRow } from '../src/types/reading';
import { daily, dayStart, sumOf } from '../src/usage';

const row = (key: string): UsageRow => ({ key }) as UsageRow;

test('a day begins at the viewer’s midnight; other keys are no days', () => {
  expect(day(dayStart('2026-11-26') ?? 0)).toBe('2026-11-26');
  expect(dayStart('support-bot')).toBeNull();
  expect(dayStart('2026-11')).toBeNull();
});

test('days without traffic are gaps, and the order is that of the calendar', () => {
  const days = daily([row('2026-03-30'), row('2026-03-27'), row('(other)')]);
  expect(days.starts_ms.map(day)).toEqual(['2026-03-27', '2026-03-28', '2026-03-29', '2026-03-30']);
  expect(days.rows.map((one) => one?.key ?? null)).toEqual(['2026-03-27', null, null, '2026-03-30']);
});

test('no days are no columns', () => {
  expect(daily([])).toEqual({ starts_ms: [], rows: [] });
});

test('costs add up', () => {
  const cost = { hosting_usd: 1, token_usd: 2, keepalive_usd: 3, saved_usd: 4, total_usd: 6, requests: 5 } as CostRow;
  expect(sumOf([cost, cost])).toEqual({ hosting_usd: 2, token_usd: 4, keepalive_usd: 6, saved_usd: 8, total_usd: 12, requests: 10 });
});
