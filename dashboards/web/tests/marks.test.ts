/** Marks that would lie on each other are one, and the most urgent speaks. */
import { expect, test } from 'vitest';
import { apart, type Mark } from '../src/chart/marks';

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
