/** What of two outcomes is compared, and which way is better. Pure. */
import type { WhatIfOutcome } from '../types/config';

export interface Compared {
  name: string;
  unit: 'share' | 'count' | 'usd';
  before: number | null;
  after: number | null;
  verdict: 'better' | 'worse' | 'same';
}

/** Differences below this part of the value are not called better or worse. */
const NOTICED = 0.01;

export function compared(today: WhatIfOutcome, proposed: WhatIfOutcome): Compared[] {
  const line = (
    name: string,
    unit: Compared['unit'],
    of: (outcome: WhatIfOutcome) => number | null,
    good: 'more' | 'less' | 'neither',
  ): Compared => {
    const [before, after] = [of(today), of(proposed)];
    if (before === null || after === null) return { name, unit, before, after, verdict: 'same' };
    const size = unit === 'share' ? 1 : Math.max(Math.abs(before), Math.abs(after));
    const isSame = size === 0 || Math.abs(after - before) / size < NOTICED || good === 'neither';
    return { name, unit, before, after, verdict: isSame ? 'same' : after > before === (good === 'more') ? 'better' : 'worse' };
  };
  return [
    line('Prompt tokens found cached', 'share', ({ hit_ratio }) => hit_ratio, 'more'),
    line('Requests that spilled', 'count', ({ spills }) => spills, 'less'),
    line('Requests refused', 'count', ({ refused }) => refused, 'less'),
    line('Tokens', 'usd', ({ token_usd }) => token_usd, 'less'),
    line('Hosting', 'usd', ({ hosting_usd }) => hosting_usd, 'less'),
    line(
      'Both together',
      'usd',
      ({ token_usd, hosting_usd }) => (token_usd === null || hosting_usd === null ? null : token_usd + hosting_usd),
      'less',
    ),
    line('Requests played', 'count', ({ requests }) => requests, 'neither'),
  ];
}
