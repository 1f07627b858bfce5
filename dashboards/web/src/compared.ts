/**
 * A time and the one before it, as rates: each is divided by how long it really was. They are rarely as long as each other: a time of which only
 * hours are kept is widened to whole ones, and one that records begin in is shorter.
 */
import { against, type change } from './figures';
import { ranFor } from './records';
import type { Figures, Summary, Time } from './types/reading';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;

/** What a time came to: requests and tokens a second, US dollars an hour. */
export interface PerTime {
  requests: number;
  tokens: number;
  token_usd: number;
  saved_usd: number;
  /** Tokens and hosting; that of `now` is what hosting costs at present. */
  cost_usd: number;
}

export interface Compared {
  now: PerTime;
  /** `null` where no records are kept of the time before. */
  then: PerTime | null;
  /** From then to now, as a share; none where the time before is not known in full. */
  change: typeof change;
}

/** `null` where no records are kept of the time itself: it has no rates. `since_ms` is where the records begin, if within it. */
export function compared(
  { now, now_time, before, before_time, before_is_whole, money }: Summary,
  since_ms: number | null,
): Compared | null {
  if (now_time === null) return null;
  const hosting_usd = money.hosting_usd_per_hour;
  const of = (figures: Figures, ran_ms: number, hosting: number): PerTime => ({
    requests: (figures.requests * SECOND_MS) / ran_ms,
    tokens: ((figures.prompt_tokens + figures.completion_tokens) * SECOND_MS) / ran_ms,
    token_usd: (figures.token_usd * HOUR_MS) / ran_ms,
    saved_usd: (figures.saved_usd * HOUR_MS) / ran_ms,
    cost_usd: hosting + (figures.token_usd * HOUR_MS) / ran_ms,
  });
  const then = (time: Time): PerTime => {
    const ran_ms = ranFor(time, null);
    const hosted = before.hosting_usd === undefined ? hosting_usd : (before.hosting_usd * HOUR_MS) / ran_ms;
    return of(before, ran_ms, hosting_usd === null ? 0 : (hosted ?? 0));
  };
  return {
    now: of(now, ranFor(now_time, since_ms), hosting_usd ?? 0),
    then: before_time === null ? null : then(before_time),
    change: against(before_is_whole && before_time !== null),
  };
}
