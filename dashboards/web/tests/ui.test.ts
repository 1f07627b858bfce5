/** What parts decide before they draw: order of rows, tone of a change, shares. */
import { expect, test } from 'vitest';
import { change, errorShare } from '../src/figures';
import { sorted } from '../src/ui/table';
import { changeTone } from '../src/ui/tile';

test('rows are sorted by number or word, those without a value last in both directions', () => {
  const by = (value: number | null): number | null => value;
  expect(sorted([2, null, 10, 1], by, false)).toEqual([1, 2, 10, null]);
  expect(sorted([2, null, 10, 1], by, true)).toEqual([10, 2, 1, null]);
  expect(sorted(['b', 'a'], (word) => word, false)).toEqual(['a', 'b']);
});

test('a change is good or bad only when it is large and has a better way', () => {
  expect([changeTone(0.2, 'up'), changeTone(0.2, 'down'), changeTone(-0.2, 'down')]).toEqual(['good', 'bad', 'good']);
  expect([changeTone(0.01, 'up'), changeTone(0.2, 'neither'), changeTone(null, 'up')]).toEqual(['quiet', 'quiet', 'quiet']);
});

test('there is no share of nothing, and no change from nothing', () => {
  expect(errorShare({ errors: 0, requests: 0 })).toBeNull();
  expect(errorShare({ errors: 1, requests: 4 })).toBe(0.25);
  expect([change(3, 2), change(3, 0), change(null, 2)]).toEqual([0.5, null, null]);
});
