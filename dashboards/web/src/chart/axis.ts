/** Words on axes: times at the grain of the ticks, in the viewer's zone and in 24 hours; and the options that all axes share. */
import type uPlot from 'uplot';
import { clock, clockSeconds, day } from '../format';
import { colour } from './colours';

const MINUTE_S = 60;
const DAY_S = 86_400;

/** What stands at a tick. Midnight shows the date, ticks of days and more the date only. */
export function tickText(at_ms: number, step_s: number): string {
  if (step_s >= DAY_S) return day(at_ms).slice(5);
  if (step_s < MINUTE_S) return clockSeconds(at_ms);
  const text = clock(at_ms);
  return text === '00:00' ? day(at_ms).slice(5) : text;
}

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const Y_PX = 60;

/** Ticks of whole days, where steps are days. */
const DAYS_S = [1, 2, 7, 14, 30, 60, 120].map((days) => days * DAY_S);

/** Distances of ticks that people count in. */
const STEPS_S = [1, 2, 5, 10, 15, 30]
  .concat([1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_S))
  .concat([1, 2, 3, 6, 12].map((hours) => hours * 60 * MINUTE_S))
  .concat(DAYS_S);

export function timeAxis(in_days = false): uPlot.Axis {
  return {
    incrs: in_days ? DAYS_S : STEPS_S,
    stroke: () => colour('muted'),
    font: FONT,
    size: 28,
    gap: 6,
    space: 60,
    grid: { show: false },
    ticks: { stroke: () => colour('line'), width: 1, size: 4 },
    values: (_chart, splits, _axis, _space, step_s) => splits.map((at) => tickText(at * 1000, step_s)),
  };
}

export function valueAxis(format: (value: number | null) => string): uPlot.Axis {
  return {
    stroke: () => colour('muted'),
    font: FONT,
    size: Y_PX,
    gap: 6,
    space: 34,
    grid: { stroke: () => colour('line'), width: 1 },
    ticks: { show: false },
    // A logarithmic axis names only some of its ticks; the others come as `null`.
    values: (_chart, splits: (number | null)[]) => splits.map((value) => (value === null ? '' : format(value))),
  };
}
