/** The page's range and filters as one value that reads depend on, and words for them. */
import { fixedRange, formatPlace, FILTERS, place, rangeOf, RANGES, scopeOf, type RangeName } from './url';
import type { Scope } from '../api';

const WORDS: Record<RangeName, string> = {
  '15m': 'the 15 minutes before',
  '1h': 'the hour before',
  '6h': 'the 6 hours before',
  '24h': 'the 24 hours before',
  '7d': 'the 7 days before',
  '30d': 'the 30 days before',
  '90d': 'the 90 days before',
  '400d': 'the 400 days before',
};

export interface Chosen {
  /** Changes with range and filters only; for `useLoad`. */
  key: string;
  /** At the moment it is called: a range that follows the present moves. */
  scope: () => Scope;
  /** The range ends now, so live ticks belong to it. */
  live: boolean;
  filtered: boolean;
  /** `the hour before`. */
  before: string;
  /** How often figures of such a range are worth reading again. */
  every_ms: number;
}

const EVERY_MS_MIN = 10_000;
const EVERY_MS_MAX = 120_000;
/** A step of the chart is about this part of the range; reading more often shows nothing new. */
const STEPS = 360;

export function chosen(otherwise: RangeName): Chosen {
  const { section, params } = place.value;
  const fixed = fixedRange(params);
  const name = rangeOf(params, otherwise);
  const length_ms = fixed ? fixed.to_ms - fixed.from_ms : RANGES[name];
  const shared = ['range', 'from', 'to', ...FILTERS].map((one) => [one, params[one] ?? ''] as const);
  return {
    key: `${section}|${formatPlace({ section, params: Object.fromEntries(shared) })}`,
    scope: () => scopeOf(params, otherwise, Date.now()),
    live: fixed === null,
    filtered: FILTERS.some((filter) => params[filter]),
    before: fixed ? 'the same time before' : WORDS[name],
    every_ms: fixed ? 0 : Math.min(Math.max(length_ms / STEPS, EVERY_MS_MIN), EVERY_MS_MAX),
  };
}
