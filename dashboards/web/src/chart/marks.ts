/** Events on a time line: what happened stands in the charts where it happened, as a flag; what wants somebody has a dashed line too. */
import type uPlot from 'uplot';
import { colour, type Colour } from './colours';

export interface Mark {
  at_ms: number;
  colour: Colour;
  text: string;
}

/** Marks nearer than this to each other are one; the pointer finds one within this too. */
const NEAR_PX = 8;
const FLAG_PX = 4;

const URGENCY: readonly Colour[] = ['muted', 'warn', 'error'];

/** Marks with the ones that would lie on each other taken together; the most urgent of them speaks for all. */
export function apart(marks: readonly Mark[], ms_per_px: number): Mark[] {
  const kept: Mark[] = [];
  let more = 0;
  for (const mark of marks.toSorted((a, b) => a.at_ms - b.at_ms)) {
    const last = kept.at(-1);
    if (last === undefined || mark.at_ms - last.at_ms > NEAR_PX * ms_per_px) {
      kept.push(mark);
      more = 0;
    } else {
      more += 1;
      const urgent = URGENCY.indexOf(mark.colour) > URGENCY.indexOf(last.colour) ? mark : last;
      kept[kept.length - 1] = { ...last, colour: urgent.colour, text: `${urgent.text.replace(/ \(\+\d+\)$/, '')} (+${more})` };
    }
  }
  return kept;
}

const msPerPx = (chart: uPlot): number => (chart.posToVal(1, 'x') - chart.posToVal(0, 'x')) * 1000;

/** The mark under the pointer. */
export function markUnder(chart: uPlot, marks: readonly Mark[]): Mark | null {
  const { left } = chart.cursor;
  if (left === undefined || left < 0 || marks.length === 0) return null;
  const at_ms = chart.posToVal(left, 'x') * 1000;
  const reach_ms = NEAR_PX * msPerPx(chart);
  return apart(marks, msPerPx(chart)).find((mark) => Math.abs(mark.at_ms - at_ms) <= reach_ms) ?? null;
}

export function drawMarks(chart: uPlot, marks: readonly Mark[]): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  const flag = FLAG_PX * devicePixelRatio;
  for (const mark of apart(marks, msPerPx(chart))) {
    const x = Math.round(chart.valToPos(mark.at_ms / 1000, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = colour(mark.colour, '99');
    ctx.fillStyle = colour(mark.colour);
    if (mark.colour !== 'muted') {
      ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.beginPath();
    ctx.moveTo(x - flag, bbox.top - flag);
    ctx.lineTo(x + flag, bbox.top - flag);
    ctx.lineTo(x, bbox.top + flag);
    ctx.fill();
  }
  ctx.restore();
}
