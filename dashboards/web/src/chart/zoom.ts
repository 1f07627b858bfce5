/** A stretch dragged out in a chart becomes the page's range. */
import type uPlot from 'uplot';
import { setParams } from '../state/url';

/** Less is a click that shook. */
export const DRAG_PX_MIN = 8;

export function zoom(chart: uPlot): void {
  const { left, width } = chart.select;
  if (width < DRAG_PX_MIN) return;
  const from = Math.round(chart.posToVal(left, 'x') * 1000);
  const to = Math.round(chart.posToVal(left + width, 'x') * 1000);
  chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  setParams({ from: String(from), to: String(to), range: '' });
}
