/** Causes of misses and drifting prompts in words, and what helps. Pure. */
import { count, percent, usd } from '../format';
import type { Drift, Miss } from '../types/state';
import type { Points } from '../types/reading';

/** What a person may do about a cause; `docs/usage.md#causes`. */
const HELPS: Record<string, string> = {
  cold: 'nothing: somebody is the first',
  expired: 'more traffic in one place, such as fewer deployments',
  overflow: 'cache keys: `prompt_cache_key: auto` on the deployment',
  moved_by_spill: 'more capacity at its home',
  moved_by_failover: 'look why the home failed',
  moved_by_homes: 'nothing, unless it stays high',
  too_short: 'nothing: no cache keeps less than 1,024 tokens',
  not_cacheable: 'another model version or type of deployment',
  drift: 'mend the prompt: see below',
};

const NAMES: Record<string, string> = {
  cold: 'seen for the first time',
  expired: 'forgotten meanwhile',
  overflow: 'another machine of the deployment answered',
  moved_by_spill: 'moved: its home had no room',
  moved_by_failover: 'moved: its home had failed',
  moved_by_homes: 'moved: its homes changed',
  too_short: 'too short to be cached',
  not_cacheable: 'the deployment does not cache',
  drift: 'the prompt changes too early',
};

export const causeName = (cause: string): string => NAMES[cause] ?? cause.replaceAll('_', ' ');
export const causeHelp = (cause: string): string | null => HELPS[cause] ?? null;

/** Those that cost something first, by tokens; then those that only count requests. */
export function ordered(misses: readonly Miss[]): Miss[] {
  return [...misses].sort((a, b) => b.tokens - a.tokens || b.requests - a.requests);
}

export function sums(misses: readonly Miss[]): { tokens: number; usd: number | null } {
  const priced = misses.filter(({ usd: lost }) => lost !== null);
  const lost = priced.length > 0 ? priced.reduce((total, miss) => total + (miss.usd ?? 0), 0) : null;
  return { tokens: misses.reduce((total, miss) => total + miss.tokens, 0), usd: lost };
}

/** Cached (or expected) tokens of each step, as parts of its prompt tokens; `null` where nothing came. */
export function partsOf(points: Points, tokens: readonly number[]): (number | null)[] {
  return points.prompt_tokens.map((prompt, n) => (prompt > 0 ? Math.min((tokens[n] ?? 0) / prompt, 1) : null));
}

const SEGMENTS: Record<string, string> = {
  tools: 'the tools',
  format: 'the response format',
  system: 'the system prompt',
  message: 'the first message',
};

/** What to look for, by where the prompts part. */
export function driftAdvice(drift: Drift): string {
  const part = drift.segment ? (SEGMENTS[drift.segment] ?? '') : '';
  const place = `${drift.at_tokens < 64 ? 'right at the start' : `some ${count(drift.at_tokens)} tokens in`}${part && `, in ${part}`}`;
  return `Look ${place}: a time, a request id, a user’s name or a list in another order. Move what changes to the end of the prompt, and keep what is always the same in front.`;
}

/** What it costs, where that is told. */
export function driftCost(drift: Drift): string | null {
  if (drift.tokens_a_day === undefined) return null;
  return `about ${count(drift.tokens_a_day)} tokens a day${drift.usd_a_day == null ? '' : `, ${usd(drift.usd_a_day)}`}`;
}

export const driftShare = (drift: Drift): string => `${percent(drift.share)} of its requests differ there, and then go on alike`;
