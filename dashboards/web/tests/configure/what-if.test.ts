/** What of two outcomes is better: more cached, less of everything else, and no verdict on what is not known. */
import { expect, it } from 'vitest';

import { compared } from '../../src/configure/what-if';
import type { WhatIfOutcome } from '../../src/types/config';

const today: WhatIfOutcome = {
  requests: 100,
  hit_ratio: 0.7,
  cached_tokens: 70,
  prompt_tokens: 100,
  spills: 10,
  refused: 0,
  token_usd: 2,
  hosting_usd: 5,
  by_deployment: [],
};
const verdicts = (change: Partial<WhatIfOutcome>): Record<string, string> =>
  Object.fromEntries(
    compared(today, { ...today, ...change })
      .filter(({ verdict }) => verdict !== 'same')
      .map(({ name, verdict }) => [name, verdict]),
  );

it.each([
  [{}, {}],
  [{ hit_ratio: 0.75 }, { 'Prompt tokens found cached': 'better' }],
  [{ hit_ratio: 0.708 }, {}],
  [{ spills: 20 }, { 'Requests that spilled': 'worse' }],
  [{ refused: 1 }, { 'Requests refused': 'worse' }],
  [{ token_usd: 1 }, { Tokens: 'better', 'Both together': 'better' }],
  [{ token_usd: null }, {}],
  [{ requests: 50 }, {}],
])('%j', (change, expected) => expect(verdicts(change)).toEqual(expected));
