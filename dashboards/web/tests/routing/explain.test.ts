/** Explaining a request: what can be asked, and what is said of the answer. */
import { describe, expect, it } from 'vitest';

import { EXAMPLES, objection } from '../../src/routing/explain-body';
import { leftOutWords, remarksOn, summaryOf } from '../../src/routing/explain-words';
import { kindOfReason, outcomeWords, reasonWords } from '../../src/routing/words';
import type { Candidate, Explanation } from '../../src/types/state';

const candidate: Candidate = {
  deployment: 'east/a',
  region: 'east',
  tier: 1,
  reason: 'warm',
  expected_tokens: 900,
  limit: 1000,
  room: 100,
  in_flight: 1,
  breaker: 'closed',
  share_of_plans: 1,
  probed_in_s: null,
  passed_over: null,
};
const explanation: Explanation = {
  route: 'r',
  pool: 'p',
  policy: 'nested',
  replicas: 1,
  prompt_tokens: 1000,
  total_tokens: 1100,
  is_first_turn: true,
  blocks: [{ id: 'x', tokens: 128 }],
  key_block: 0,
  homes: 1,
  warm_tokens: 900,
  cache_key: null,
  candidates: [candidate],
  left_out: [],
  unasked: null,
};

describe('a body', () => {
  const cases: [string, boolean][] = [
    ['', false],
    ['{', false],
    ['{}', false],
    ['{"model":"a"}', false],
    ['{"model":"a","messages":[]}', true],
    ['{"model":"a","input":"x"}', true],
    ['"a"', false],
  ];
  it.each(cases)('%s', (text, fits) => expect(objection(text) === null).toBe(fits));
  it('of each example can be asked about', () => {
    for (const { body } of EXAMPLES) expect(objection(JSON.stringify(body('support-bot')))).toBeNull();
  });
});

describe('the answer in words', () => {
  it('names who is asked, why, and what is cached', () =>
    expect(summaryOf(explanation)).toMatch(
      /would go to east\/a: its cache should have the beginning of the prompt, and 90.% of the prompt/,
    ));
  it('says what a client gets where nobody can be asked', () => {
    const unasked = { waits_up_to_s: 5, status: 429, code: 'rate_limit_exceeded', retry_after_s: 2 };
    expect(summaryOf({ ...explanation, candidates: [], unasked })).toMatch(
      /wait up to 5.s, and else get 429 \(rate_limit_exceeded, to be tried again after 2.s\)/,
    );
  });
  it('remarks on what is full, open or recovering', () => {
    expect(remarksOn(candidate)).toEqual([]);
    expect(remarksOn({ ...candidate, passed_over: { used: 0.8, filled: 0.9, full: 0.7 } })[0]).toContain('passed over');
    expect(remarksOn({ ...candidate, breaker: 'open', probed_in_s: 2 })[0]).toContain('one request may try it in');
    expect(remarksOn({ ...candidate, share_of_plans: 0.4 })[0]).toContain('40');
  });
  it('says who is left out', () =>
    expect(leftOutWords({ deployment: 'a/b', why: 'drained', tier: 2, for_s: null, until: null })).toBe(
      'a/b (tier 2) is left out: drained until it is put back',
    ));
});

it('sorts reasons by what became of the first choice', () => {
  expect(['warm', 'home', 'short_prompt', 'spill_no_room', 'tier', 'failover', 'last_resort'].map(kindOfReason)).toEqual([
    'placed',
    'placed',
    'placed',
    'spilled',
    'spilled',
    'failed_over',
    'failed_over',
  ]);
  expect(reasonWords('something_new')).toBe('something new');
  expect(outcomeWords('throttled')).toBe('answered 429');
});
