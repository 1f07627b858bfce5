/** A time against the one before, each by its own length. */
import { expect, test } from 'vitest';
import { compared } from '../src/compared';
import type { Figures, Summary } from '../src/types/reading';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/** What a steady gateway does in so many hours: a request, three tokens, a dollar for tokens, half a dollar saved, two for hosting. */
function steady(hours: number): Figures {
  const money = { token_usd: hours, saved_usd: hours / 2, hosting_usd: 2 * hours };
  return { requests: 3600 * hours, prompt_tokens: 7200 * hours, completion_tokens: 3600 * hours, ...money } as Figures;
}

const STEADY = { requests: 1, tokens: 3, token_usd: 1, saved_usd: 0.5, cost_usd: 3 };

/** An hour that a steady gateway worked for `now_h` of, after one that it worked for `before_h` of. */
function summary(now_h: number, before_h: number): Summary {
  return {
    now: steady(now_h),
    now_time: { from_ms: HOUR_MS, to_ms: 2 * HOUR_MS },
    before: steady(before_h),
    before_time: { from_ms: 0, to_ms: HOUR_MS },
    before_is_whole: true,
    money: { hosting_usd_per_hour: 2, token_usd: now_h, saved_usd: now_h / 2 },
  };
}

test('a time that was widened to whole hours is divided by those', () => {
  const told = { ...summary(2, 1), now_time: { from_ms: HOUR_MS, to_ms: 3 * HOUR_MS } };
  expect(compared(told, null)).toMatchObject({ now: STEADY, then: STEADY });
});

test('six minutes since a restart and the hour before it compare as rates', () => {
  const told = compared(summary(0.1, 1), 2 * HOUR_MS - 6 * MINUTE_MS);
  for (const [member, rate] of Object.entries(STEADY)) {
    expect(told?.now[member as keyof typeof STEADY]).toBeCloseTo(rate);
    expect(told?.then?.[member as keyof typeof STEADY]).toBeCloseTo(rate);
  }
  expect(told?.change(told.now.requests, told.then?.requests ?? null)).toBeCloseTo(0);
});

test('hosting before is that of now where it is not known, and none where no price is', () => {
  const told = summary(1, 1);
  delete told.before.hosting_usd;
  expect(compared(told, null)?.then?.cost_usd).toBe(3);
  told.money.hosting_usd_per_hour = null;
  expect(compared(told, null)).toMatchObject({ now: { cost_usd: 1 }, then: { cost_usd: 1 } });
});

test('where no records are kept there are no rates, and nothing to compare with', () => {
  expect(compared({ ...summary(0, 0), now_time: null }, null)).toBeNull();
  const told = compared({ ...summary(1, 0), before_time: null, before_is_whole: false }, null);
  expect(told?.then).toBeNull();
  expect(told?.change(2, 1)).toBeNull();
});
