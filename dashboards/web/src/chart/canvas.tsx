/**
 * Holds one uPlot chart: builds it when `build`'s `shape` or the theme changes, feeds it data, follows the box's width, and destroys it
 * with the component, so that a page that is open for weeks keeps nothing of charts that are gone.
 */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { themeSeen } from '../state/theme';

interface CanvasProps {
  /** What is drawn, for those who do not see it. */
  label: string;
  /** Changes when the chart must be built anew rather than fed. */
  shape: string;
  height: number;
  data: uPlot.AlignedData;
  build: (width: number, height: number) => uPlot.Options;
  /** Called with each new chart, and with `null` when it goes. */
  onChart?: (chart: uPlot | null) => void;
}

export function Canvas({ label, shape, height, data, build, onChart }: CanvasProps) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef({ build, data, onChart });
  latest.current = { build, data, onChart };
  const theme = themeSeen.value;

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const made = new uPlot(latest.current.build(element.clientWidth, height), latest.current.data, element);
    chart.current = made;
    latest.current.onChart?.(made);
    const sizes = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height });
    });
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      latest.current.onChart?.(null);
      made.destroy();
      chart.current = null;
    };
  }, [shape, height, theme]);

  useEffect(() => {
    if (chart.current !== null && chart.current.data !== data) chart.current.setData(data);
  }, [data]);

  return <div ref={box} class="canvas" role="img" aria-label={label} style={{ height: `${height}px` }} />;
}
