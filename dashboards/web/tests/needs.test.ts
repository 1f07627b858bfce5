/** What needs a person, as words; what that is, the gateway judges. */
import { expect, test } from 'vitest';
import { felt, what } from '../src/needs';

test('what it is stands in words, with the time that is left', () => {
  const need = { urgency: 'warning', about: 'deployment', subject: 'east/a', kind: 'breaker_half_open', advice: '', at_ms: null } as const;
  expect(what(need, 0)).toBe('breaker half open');
  expect(what({ ...need, kind: 'resting', at_ms: 12_400 }, 0).replace(/\s/gu, ' ')).toBe('resting (12 s left)');
  expect(what({ ...need, kind: 'resting', at_ms: 5 }, 900).replace(/\s/gu, ' ')).toBe('resting (less than 1 s left)');
});

test('what clients feel comes first, whatever is broken', () => {
  const minute = { requests: 200, errors: 0, failovers: 0, ttft_p95_ms: 80, total_p95_ms: 400 };
  const check = (change: Partial<typeof minute>, tone: string, words: RegExp): void => {
    const told = felt({ ...minute, ...change });
    expect(told.tone).toBe(tone);
    expect(told.text).toMatch(words);
  };
  check({ requests: 0 }, 'quiet', /^No requests in the last minute/);
  check({}, 'ok', /200 requests in the last minute, none failed; first token p95 80.ms\.$/);
  check({ failovers: 13 }, 'ok', /none failed, 13 went on elsewhere/);
  check({ errors: 1 }, 'warn', /1 of 200 requests failed in the last minute \(0\.5.%\)/);
  check({ errors: 20 }, 'error', /20 of 200 requests failed/);
});

test('without streams the whole request is told', () => {
  const { text } = felt({ requests: 1, errors: 0, failovers: 0, ttft_p95_ms: null, total_p95_ms: 400 });
  expect(text).toContain('whole request p95 400');
  expect(felt({ requests: 1, errors: 1, failovers: 0, ttft_p95_ms: null, total_p95_ms: null }).text).not.toContain('p95');
});
