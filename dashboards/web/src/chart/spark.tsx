/** A line as small as a word: the shape of a figure over the range, without axes. Decoration; the figure beside it is the text. */
import type { Colour } from './colours';

const WIDTH = 100;
const HEIGHT = 28;

/** SVG path data of `values` in a box, with a new start after each gap; `closed` runs along the floor and back. */
export function sparkPath(values: readonly (number | null)[], width: number, height: number, closed: boolean): string {
  const known = values.filter((value) => value !== null);
  const top = Math.max(...known, 0);
  if (known.length < 2 || top === 0) return '';
  const step = width / Math.max(values.length - 1, 1);
  const parts: string[] = [];
  let start: number | null = null;
  const close = (end: number): void => {
    if (closed && start !== null) parts.push(`L${round(end)} ${height}L${round(start)} ${height}Z`);
    start = null;
  };
  values.forEach((value, i) => {
    const x = i * step;
    if (value === null) return close((i - 1) * step);
    parts.push(`${start === null ? 'M' : 'L'}${round(x)} ${round(height - (value / top) * (height - 2) - 1)}`);
    start ??= x;
  });
  close((values.length - 1) * step);
  return parts.join('');
}

const round = (value: number): number => Math.round(value * 10) / 10;

export function Spark({ values, colour = 's1' }: { values: readonly (number | null)[]; colour?: Colour }) {
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      style={{ '--swatch': `var(--${colour})` }}
    >
      <path class="spark-fill" d={sparkPath(values, WIDTH, HEIGHT, true)} />
      <path class="spark-line" d={sparkPath(values, WIDTH, HEIGHT, false)} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
