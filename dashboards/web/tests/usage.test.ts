/** Days on a time line, amounts, findings. */
import { expect, test } from 'vitest';
import { day } from '../src/format';
import type { UsageRow } from '../src/types/reading';
import { atLeast, daily, dayStart, findingTone } from '../src/usage';

const row = (key: string): UsageRow => ({ key }) as UsageRow;

test('a day begins at the viewer’s midnight; other keys are no days', () => {
  expect(day(dayStart('2026-11-26') ?? 0)).toBe('2026-11-26');
  expect(dayStart('support-bot')).toBeNull();
  expect(dayStart('2026-11')).toBeNull();
});

test('days without traffic are gaps, and the order is that of the calendar', () => {
  const days = daily([row('2026-03-30'), row('2026-03-27'), row('(other)')]);
  expect(days.starts_ms.map(day).slice(3)).toEqual(['2026-03-27', '2026-03-28', '2026-03-29', '2026-03-30']);
  expect(days.rows.map((one) => one?.key ?? null).slice(3)).toEqual(['2026-03-27', null, null, '2026-03-30']);
  expect(days.starts_ms).toHaveLength(7);
  expect(daily([row('2026-03-01'), row('2026-03-30')]).starts_ms).toHaveLength(30);
});

test('no days are no columns', () => {
  expect(daily([])).toEqual({ starts_ms: [], rows: [] });
});

test('an amount that is not wholly known says so', () => {
  expect([atLeast('$3', true), atLeast('$3', false)]).toEqual(['≥\u202f$3', '$3']);
});

test('findings of kinds that are not known yet are told as information', () => {
  expect([findingTone('idle'), findingTone('toString'), findingTone('new')]).toEqual(['warn', 'info', 'info']);
});
