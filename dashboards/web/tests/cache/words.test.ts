/** What the Cache and Import pages say: order, sums and advice. */
import { describe, expect, it } from 'vitest';

import { causeHelp, causeName, driftAdvice, driftCost, ordered, partsOf, sums } from '../../src/cache/words';
import { countsOf, objection, toneOf } from '../../src/imports/words';
import type { Points } from '../../src/types/reading';
import type { Drift, Miss } from '../../src/types/state';

const miss = (cause: string, tokens: number, requests: number, usd: number | null): Miss => ({ cause, tokens, requests, usd, text: '' });

it('puts what costs most first, then what happens most', () => {
  const misses = [miss('cold', 0, 5, null), miss('drift', 100, 1, 0.1), miss('too_short', 0, 9, null), miss('expired', 300, 1, 0.3)];
  expect(ordered(misses).map(({ cause }) => cause)).toEqual(['expired', 'drift', 'too_short', 'cold']);
  expect(sums(misses)).toEqual({ tokens: 400, usd: expect.closeTo(0.4, 9) });
  expect(sums([miss('cold', 5, 1, null)])).toEqual({ tokens: 5, usd: null });
});

it('has words and help for every cause that the gateway knows', () => {
  for (const cause of [
    'cold',
    'expired',
    'overflow',
    'moved_by_spill',
    'moved_by_failover',
    'moved_by_homes',
    'too_short',
    'not_cacheable',
    'drift',
  ]) {
    expect(causeName(cause)).not.toContain('_');
    expect(causeHelp(cause)).not.toBeNull();
  }
  expect(causeName('new_cause')).toBe('new cause');
});

it('tells parts of prompts, and nothing where none came', () => {
  const points = { prompt_tokens: [100, 0, 50] } as unknown as Points;
  expect(partsOf(points, [80, 0, 60])).toEqual([0.8, null, 1]);
});

describe('prompts that drift', () => {
  const drift: Drift = { route: 'a', at_tokens: 412, share: 0.9, text: '', segment: 'system' };
  it('are found where they part', () => {
    expect(driftAdvice(drift)).toMatch(/^Look some 412 tokens in, in the system prompt: /);
    expect(driftAdvice({ ...drift, at_tokens: 3, segment: 'tools' })).toMatch(/^Look right at the start, in the tools: /);
  });
  it('are priced where that is known', () => {
    expect(driftCost(drift)).toBeNull();
    expect(driftCost({ ...drift, tokens_a_day: 2_000_000, usd_a_day: null })).toMatch(/^about 2.M tokens a day$/);
    expect(driftCost({ ...drift, tokens_a_day: 2_000_000, usd_a_day: 3 })).toContain('$3.00');
  });
});

it('counts grades, those that want somebody first', () => {
  const lines = (['exact', 'manual', 'exact'] as const).map((grade, line) => ({ line, path: '', grade, text: '' }));
  expect(countsOf(lines).map(({ grade, count }) => [grade, count])).toEqual([
    ['unsupported', 0],
    ['manual', 1],
    ['approximate', 0],
    ['exact', 2],
  ]);
  expect(toneOf('manual')).toBe('warn');
});

it.each([
  ['', false],
  ['  \n', false],
  ['model_list: []', true],
  ['x'.repeat(1024 * 1024 + 1), false],
])('takes a file or says why not (%#)', (text, fits) => expect(objection(text) === null).toBe(fits));
