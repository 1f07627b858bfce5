/** A heat map's columns as figures: which rows are worth showing, and percentiles from a column's counts. Pure. */
import type { Heatmap } from './types/reading';

/** The span of row `index`: from the bound before to its own. Bounds are spaced by a factor, so the first row begins one factor below. */
export function spanOf(bounds_ms: readonly number[], index: number): { low_ms: number; high_ms: number } {
  const high_ms = bounds_ms[Math.min(index, bounds_ms.length - 1)] ?? 0;
  if (index > 0) return { low_ms: bounds_ms[index - 1] ?? 0, high_ms };
  const next = bounds_ms[1];
  return { low_ms: next === undefined || next <= high_ms ? high_ms / 2 : (high_ms * high_ms) / next, high_ms };
}

/** The lowest and the highest row in which anything is, with one empty row on each side where there is one; `null` without requests. */
export function rowsUsed(heat: Pick<Heatmap, 'bounds_ms' | 'counts'>): { first: number; last: number } | null {
  let first = Infinity;
  let last = -1;
  for (const column of heat.counts) {
    column.forEach((count, row) => {
      if (count === 0) return;
      first = Math.min(first, row);
      last = Math.max(last, row);
    });
  }
  return last < 0 ? null : { first: Math.max(first - 1, 0), last: Math.min(last + 1, heat.bounds_ms.length - 1) };
}

/** The latency below which `part` of a column's requests are, within its row by the logarithm; `null` for an empty column. */
export function quantile(counts: readonly number[], bounds_ms: readonly number[], part: number): number | null {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let below = 0;
  for (let row = 0; row < counts.length; row += 1) {
    const here = counts[row] ?? 0;
    if (here > 0 && below + here >= part * all) {
      const { low_ms, high_ms } = spanOf(bounds_ms, row);
      return low_ms * (high_ms / low_ms) ** ((part * all - below) / here);
    }
    below += here;
  }
  return null;
}

/** The most requests in a cell, without the topmost hundredth of the cells, which would turn all others pale. */
export function brightest(counts: readonly (readonly number[])[]): number {
  const filled = counts.flat().filter((count) => count > 0);
  filled.sort((a, b) => a - b);
  return filled[Math.floor((filled.length - 1) * 0.99)] ?? 0;
}

/** What may be named within a factor of ten, from all to least. */
const NAMED: readonly (readonly number[])[] = [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];
const EACH: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

/** Multiples of the powers of ten that are between `low` and `high`. */
function within(low: number, high: number, steps: readonly number[]): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of steps) ticks.push(Number((step * 10 ** power).toPrecision(1)));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

/**
 * Marks of a logarithmic axis from `low` to `high`: where they stand, closer and closer up to each power of ten, and which of them are named,
 * at most `max`: as many round numbers as fit, at least the powers of ten.
 */
export function logTicks(low: number, high: number, max: number): { at: number[]; named: number[] } {
  const named = NAMED.map((steps) => within(low, high, steps)).find((ticks) => ticks.length <= max);
  return { at: within(low, high, EACH), named: named ?? within(low, high, [1]) };
}
