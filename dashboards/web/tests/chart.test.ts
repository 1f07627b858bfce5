/** What charts are drawn with: marks that would lie on each other are one, and colours have one form. */
import { expect, test } from 'vitest';
import { tickText } from '../src/chart/axis';
import { sixDigits } from '../src/chart/colours';
import { apart, type Mark } from '../src/chart/marks';
import { sparkPath } from '../src/chart/spark';

const mark = (at_ms: number, colour: Mark['colour'], text: string): Mark => ({ at_ms, colour, text });

test('marks apart stay as they are, in the order of time', () => {
  const [late, early] = [mark(900, 'muted', 'b'), mark(0, 'warn', 'a')];
  expect(apart([late, early], 1)).toEqual([early, late]);
});

test('marks on each other are told as one, with how many more there are', () => {
  const found = apart([mark(0, 'muted', 'reloaded'), mark(5, 'error', 'broken'), mark(7, 'warn', 'drained')], 1);
  expect(found).toEqual([{ at_ms: 0, colour: 'error', text: 'broken (+2)' }]);
});

test('the same marks are apart when a pixel is shorter', () => {
  expect(apart([mark(0, 'muted', 'a'), mark(5, 'error', 'b')], 0.5)).toHaveLength(2);
});

test('colours that the build shortened are as long as the others', () => {
  expect([sixDigits('#fff'), sixDigits('#A0c'), sixDigits('#151719')]).toEqual(['#ffffff', '#AA00cc', '#151719']);
});

test('ticks are told at their grain, and midnight by its date', () => {
  const at = (hour: number): number => new Date(2026, 10, 26, hour, 30, 5).getTime();
  expect(tickText(at(14), 10)).toBe('14:30:05');
  expect(tickText(at(14), 300)).toBe('14:30');
  expect(tickText(new Date(2026, 10, 26).getTime(), 3600)).toBe('11-26');
  expect(tickText(at(14), 86_400)).toBe('11-26');
});

test('a spark line begins anew after a gap, and its surface is closed piece by piece', () => {
  expect(sparkPath([1, 2, null, 2, 1], 8, 12, false)).toBe('M0 6L2 1M6 1L8 6');
  expect(sparkPath([1, 2, null, 2, 1], 8, 12, true)).toBe('M0 6L2 1L2 12L0 12ZM6 1L8 6L8 12L6 12Z');
});

test('nothing, a single value, and nothing but zeros have no shape', () => {
  expect([sparkPath([], 8, 8, false), sparkPath([3], 8, 8, false), sparkPath([0, 0, 0], 8, 8, false)]).toEqual(['', '', '']);
});
