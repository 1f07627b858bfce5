/** Who is slow, and by how much: each group's percentiles against the others. Pure. */
import type { LatencyOf, SeriesGroup } from './types/reading';

export interface Slow {
  group: SeriesGroup;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  /** Own p95 as a multiple of the others' median p95; `null` where there is nothing to compare with. */
  times: number | null;
  /** It stands out: clearly slower than the others, over enough requests to say so. */
  stands_out: boolean;
}

/** With fewer requests a p95 is one request's luck. */
const REQUESTS_MIN = 40;
const TIMES_MIN = 1.5;

/** All groups that had requests, the slowest by p95 first. */
export function bySlowness(groups: readonly SeriesGroup[], of: LatencyOf): Slow[] {
  const p95 = (group: SeriesGroup): number | null => group.total[`${of}_p95_ms`];
  return groups
    .filter((group) => group.total.requests > 0)
    .map((group): Slow => {
      const others = groups.filter((other) => other !== group && other.total.requests >= REQUESTS_MIN).map(p95);
      const usual = median(others.filter((value) => value !== null));
      const own = p95(group);
      const times = own === null || usual === null || usual === 0 ? null : own / usual;
      return {
        group,
        p50_ms: group.total[`${of}_p50_ms`],
        p95_ms: own,
        p99_ms: group.total[`${of}_p99_ms`],
        times,
        stands_out: times !== null && times >= TIMES_MIN && group.total.requests >= REQUESTS_MIN,
      };
    })
    .sort((a, b) => (b.p95_ms ?? -1) - (a.p95_ms ?? -1));
}

export function median(values: readonly number[]): number | null {
  const ordered = values.toSorted((a, b) => a - b);
  const middle = ordered.length / 2;
  const high = ordered[Math.floor(middle)];
  if (high === undefined) return null;
  return Number.isInteger(middle) ? (high + (ordered[middle - 1] ?? high)) / 2 : high;
}
