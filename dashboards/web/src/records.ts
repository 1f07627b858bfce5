/**
 * Where records begin. A gateway that has run for minutes has nothing to show of the hour before: charts begin where the records do, and rates are
 * of that time, or a busy gateway would look idle. Pure: when the process started is an argument; its store may know of more than that.
 */
import { clockSeconds, day, moment } from './format';
import type { Heatmap, Points, Series, Time } from './types/reading';

/** Shorter than this is not shown, however new the gateway is: a chart of seconds says nothing. */
const SHOWN_MS_MIN = 5 * 60_000;

/** When the records begin: with the process, or with the first step that holds anything where that was over before. */
function begin(starts_ms: readonly number[], step_ms: number, started_ms: number, holds: (step: number) => boolean): number {
  const first_ms = starts_ms.find((_, i) => holds(i));
  return first_ms !== undefined && first_ms + step_ms <= started_ms ? first_ms : started_ms;
}

/** How many steps at the front are before the records. */
function emptySteps(starts_ms: readonly number[], to_ms: number, since_ms: number): number {
  const from_ms = Math.min(since_ms, to_ms - SHOWN_MS_MIN);
  const next = starts_ms.findIndex((start_ms) => start_ms > from_ms);
  return Math.max((next < 0 ? starts_ms.length : next) - 1, 0);
}

/**
 * A series from where the records begin, and since when that is; `null` where they go back beyond it, or nobody knows. What it shows of the
 * time before is not known rather than nothing, and the step that the records begin in begins with them.
 */
export function recorded(series: Series, started_ms: number | null): { series: Series; since_ms: number | null } {
  const { starts_ms, step_ms, from_ms, to_ms, groups } = series;
  if (started_ms === null) return { series, since_ms: null };
  const since_ms = begin(starts_ms, step_ms, started_ms, (i) => groups.some(({ points }) => (points.requests[i] ?? 0) > 0));
  const empty = emptySteps(starts_ms, to_ms, since_ms);
  if (since_ms <= from_ms) return { series, since_ms: null };
  const cut = (points: Points): Points =>
    Object.fromEntries(Object.entries(points).map(([member, values]) => [member, values.slice(empty)])) as Points;
  const shown = {
    ...series,
    from_ms: Math.max(from_ms, starts_ms[empty] ?? from_ms),
    since_ms,
    starts_ms: starts_ms.slice(empty).map((start_ms) => (start_ms < since_ms && since_ms < start_ms + step_ms ? since_ms : start_ms)),
    groups: groups.map((group) => ({ ...group, points: cut(group.points) })),
  };
  return { series: shown, since_ms };
}

/** The same in words. `now_ms` is the viewer's day. */
export function sinceWords(since_ms: number, now_ms: number): string {
  const at = day(since_ms) === day(now_ms) ? clockSeconds(since_ms) : moment(since_ms);
  return `Records begin at ${at}: charts show nothing before, and rates are of the time since.`;
}

/** How long the time is that figures are of, in milliseconds: less where the records begin within it. */
export function ranFor({ from_ms, to_ms }: Time, since_ms: number | null): number {
  return to_ms - (since_ms !== null && since_ms < to_ms ? Math.max(from_ms, since_ms) : from_ms);
}

/** What is said of a time that was before the records, or whose records went: nobody knows what happened in it. */
export const UNKEPT = 'No records are kept of this time. Choose a later one.';

/** Why there is nothing to see of a series: no step of it is kept, or, in `words`, nothing happened. `null` where there is something. */
export function noneOf({ starts_ms }: Pick<Series, 'starts_ms'>, is_quiet: boolean, words: string): string | null {
  if (starts_ms.length === 0) return UNKEPT;
  return is_quiet ? words : null;
}

/** From when on to ask, where the records begin at `since_ms`: the gateway then answers in finer steps. */
export function askedFrom(from_ms: number, to_ms: number, since_ms: number | null): number {
  return since_ms === null ? from_ms : Math.max(from_ms, Math.min(since_ms, to_ms - SHOWN_MS_MIN));
}

/** A heat map from where the records begin. */
export function recordedHeat(heat: Heatmap, started_ms: number | null): Heatmap {
  const { starts_ms, step_ms, counts } = heat;
  if (started_ms === null) return heat;
  const since_ms = begin(starts_ms, step_ms, started_ms, (i) => (counts[i] ?? []).some((cell) => cell > 0));
  const empty = emptySteps(starts_ms, (starts_ms.at(-1) ?? 0) + step_ms, since_ms);
  return { ...heat, starts_ms: starts_ms.slice(empty), counts: counts.slice(empty) };
}
