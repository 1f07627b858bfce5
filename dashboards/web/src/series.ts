/** From the API's counts in steps to what charts draw: rates, shares, thinner rows; and live ticks laid onto a series that was read. */
import { share } from './figures';
import type { CountMember, Figures, LatencyMember, Points, Series, SeriesGroup } from './types/reading';
import type { Tick } from './types/state';

export const COUNTS: readonly CountMember[] = [
  'requests',
  'errors',
  'throttled',
  'attempts',
  'failovers',
  'prompt_tokens',
  'cached_tokens',
  'expected_tokens',
  'completion_tokens',
  'token_usd',
  'saved_usd',
];
export const LATENCIES: readonly LatencyMember[] = (['ttft', 'total', 'overhead'] as const).flatMap((of) =>
  ([50, 95, 99] as const).map((p): LatencyMember => `${of}_p${p}_ms`),
);

/** A step that has run for less than this share of its length tells nothing yet. */
const STEP_SHARE_MIN = 0.5;

/** What the rates of a series go by. */
type Steps = Pick<Series, 'starts_ms' | 'step_ms' | 'ran_to_ms' | 'since_ms'>;

/** Seconds that each step has run: all but the last, and the one that records begin in, ran whole. 0 for a step that has just begun or is before. */
function ran_s({ starts_ms, step_ms, ran_to_ms, since_ms }: Steps): number[] {
  return starts_ms.map((start_ms, i) => {
    if (since_ms !== undefined && start_ms < since_ms) return 0;
    const next_ms = starts_ms[i + 1];
    if (next_ms !== undefined) return (next_ms - start_ms) / 1000;
    const ran_ms = Math.min(step_ms, ran_to_ms - start_ms);
    return ran_ms < step_ms * STEP_SHARE_MIN ? 0 : ran_ms / 1000;
  });
}

/** Counts as rates a second; `null` where the step has just begun, and before the records do. */
export function rates(series: Steps, counts: readonly number[]): (number | null)[] {
  const ran = ran_s(series);
  return counts.map((value, i) => {
    const seconds = ran[i] ?? 0;
    return seconds > 0 ? value / seconds : null;
  });
}

/** One count as a share of another, step by step. */
export const shares = (parts: readonly number[], wholes: readonly number[]): (number | null)[] =>
  parts.map((part, i) => share(part, wholes[i] ?? 0));

/** The sum of two rows. */
export const plus = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value + (b[i] ?? 0));

/** At most `max` values, each the mean of its neighbours: a spark line has no room for more. */
export function thinned(values: readonly (number | null)[], max: number): (number | null)[] {
  if (values.length <= max) return values.slice();
  const size = values.length / max;
  return Array.from({ length: max }, (_, i) => {
    const part = values.slice(Math.floor(i * size), Math.floor((i + 1) * size)).filter((value) => value !== null);
    return part.length === 0 ? null : part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/**
 * Lays a tick's last interval onto a series of all traffic in steps of that length; other series are given back as they are. The
 * oldest step goes when a new one comes, so that a page left open keeps its size. A tick that is already in changes nothing.
 */
export function withTick(series: Series, tick: Tick): Series {
  const group = series.groups[0];
  const last_ms = series.starts_ms.at(-1);
  const { at_ms: start_ms, step_ms, figures } = tick.last;
  if (series.step_ms !== step_ms || group === undefined || series.groups.length !== 1 || last_ms === undefined) return series;
  if (start_ms < last_ms) return series;
  const known = start_ms === last_ms;
  const missed = Math.round((start_ms - last_ms) / step_ms) - 1;
  if (missed > 0) return series;
  const moved_ms = known ? 0 : step_ms;
  return {
    ...series,
    from_ms: series.from_ms + moved_ms,
    to_ms: Math.max(series.to_ms + moved_ms, start_ms + step_ms),
    ran_to_ms: Math.max(series.ran_to_ms + moved_ms, start_ms + step_ms),
    starts_ms: known ? series.starts_ms : [...series.starts_ms.slice(1), start_ms],
    groups: [{ ...group, points: pointsWith(group, figures, known) }],
  };
}

function pointsWith(group: SeriesGroup, last: Figures, known: boolean): Points {
  const points = { ...group.points };
  for (const member of COUNTS) points[member] = [...points[member].slice(known ? 0 : 1, known ? -1 : undefined), last[member]];
  for (const member of LATENCIES) points[member] = [...points[member].slice(known ? 0 : 1, known ? -1 : undefined), last[member]];
  return points;
}
