/**
 * Lines over time. The legend tells the values under the pointer, at the same moment in all charts of the page; a click on a name hides
 * its line; a stretch dragged out becomes the page's range. Everything is there as a table too.
 */
import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clockSeconds, day, moment, utc } from '../format';
import { IconButton } from '../ui/basics';
import { Table, type Column } from '../ui/table';
import { timeAxis, valueAxis } from './axis';
import { Canvas } from './canvas';
import { colour, type Colour } from './colours';
import { drawMarks, markUnder, type Mark } from './marks';
import { DRAG_PX_MIN, zoom } from './zoom';

export interface Line {
  label: string;
  colour: Colour;
  values: readonly (number | null)[];
  /** The surface under the line is tinted. */
  fill?: boolean;
  dash?: boolean;
  /** Columns instead of a line, for whole days and the like. */
  bars?: boolean;
}

interface LinesProps {
  /** What is drawn: `Time to first token`. */
  label: string;
  starts_ms: readonly number[];
  from_ms: number;
  to_ms: number;
  lines: readonly Line[];
  format: (value: number | null) => string;
  height?: number;
  /** The same top for several charts, so that they compare. */
  top?: number;
  /** What happened meanwhile. */
  marks?: readonly Mark[];
}

const NO_MARKS: readonly Mark[] = [];

const ROWS_MAX = 600;
const DAY_MS = 86_400_000;
/** Columns take seven tenths of their step, at most 48 px. */
const BARS = uPlot.paths.bars?.({ size: [0.7, 48] });

export function Lines({ label, starts_ms, from_ms, to_ms, lines, format, height = 200, top, marks = NO_MARKS }: LinesProps) {
  const at = useSignal<number | null>(null);
  const mark = useSignal<Mark | null>(null);
  const chart = useRef<uPlot | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [asTable, setAsTable] = useState(false);
  const frame = useRef({ from_ms, to_ms, top, marks, in_days: inDays(starts_ms) });
  frame.current = { from_ms, to_ms, top, marks, in_days: inDays(starts_ms) };

  const data = useMemo<uPlot.AlignedData>(
    () => [starts_ms.map((ms) => ms / 1000), ...lines.map((line) => line.values.slice())],
    [starts_ms, lines],
  );
  const shape = lines.map((line) => `${line.label}:${line.colour}:${line.fill ?? ''}:${line.dash ?? ''}:${line.bars ?? ''}`).join('|');
  const build = (width: number, tall: number): uPlot.Options => options(width, tall, lines, format, frame, hidden, { at, mark });
  useEffect(() => chart.current?.redraw(false), [marks]);
  const toggle = (name: string): void => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    setHidden(next);
    chart.current?.setSeries(lines.findIndex((line) => line.label === name) + 1, { show: !next.has(name) });
  };

  return (
    <figure class="chart">
      <figcaption class="legend">
        {lines.map((line) => (
          <LegendItem
            key={line.label}
            line={line}
            at={at}
            format={format}
            off={hidden.has(line.label)}
            onToggle={() => toggle(line.label)}
          />
        ))}
        <Moment at={at} mark={mark} starts_ms={starts_ms} />
      </figcaption>
      <div class="chart-switch">
        <IconButton
          small
          glyph="table"
          label={asTable ? `Show ${label} as a chart` : `Show ${label} as a table`}
          aria-pressed={asTable}
          onClick={() => setAsTable(!asTable)}
        />
      </div>
      {asTable ? (
        <AsTable label={label} starts_ms={starts_ms} lines={lines} format={format} height={height} />
      ) : (
        <Canvas
          label={`${label}: ${lines.map((line) => spoken(line, format)).join('; ')}`}
          shape={shape}
          height={height}
          data={data}
          build={build}
          onChart={(made) => (chart.current = made)}
        />
      )}
    </figure>
  );
}

type Frame = { current: { from_ms: number; to_ms: number; top: number | undefined; marks: readonly Mark[]; in_days: boolean } };
/** What is under the pointer. */
interface Under {
  at: Signal<number | null>;
  mark: Signal<Mark | null>;
}

function options(
  width: number,
  height: number,
  lines: readonly Line[],
  format: LinesProps['format'],
  frame: Frame,
  hidden: ReadonlySet<string>,
  under: Under,
): uPlot.Options {
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 20, 0, 0],
    cursor: {
      y: false,
      sync: { key: 'time', setSeries: false, filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } },
      drag: { x: true, y: false, setScale: false, dist: DRAG_PX_MIN },
      points: { size: 6, width: 1.5 },
    },
    scales: {
      x: { time: true, range: () => [frame.current.from_ms / 1000, frame.current.to_ms / 1000] },
      y: { range: (_chart, _low, high) => [0, Math.max(frame.current.top ?? 0, high) * 1.08 || 1] },
    },
    axes: [timeAxis(frame.current.in_days), valueAxis(format)],
    series: [
      {},
      ...lines.map((line): uPlot.Series => ({
        label: line.label,
        show: !hidden.has(line.label),
        stroke: () => colour(line.colour),
        width: 1.5,
        ...(line.bars || line.fill ? { fill: () => colour(line.colour, line.bars ? '' : '26') } : {}),
        ...(line.dash ? { dash: [4, 4] } : {}),
        ...(line.bars && BARS ? { paths: BARS, width: 0 } : {}),
        points: line.bars ? { show: false } : { show: true, size: 3, filter: lonely },
      })),
    ],
    hooks: {
      draw: [(chart) => drawMarks(chart, frame.current.marks)],
      setCursor: [
        (chart) => {
          under.at.value = chart.cursor.idx ?? null;
          under.mark.value = markUnder(chart, frame.current.marks);
        },
      ],
      setSelect: [zoom],
    },
  };
}

/** Points without a neighbour, which no line would show. */
function lonely(chart: uPlot, seriesIndex: number): number[] {
  const values = chart.data[seriesIndex] ?? [];
  const found: number[] = [];
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  }
  return found;
}

interface LegendItemProps {
  line: Line;
  at: Signal<number | null>;
  format: LinesProps['format'];
  off: boolean;
  onToggle: () => void;
}

function LegendItem({ line, at, format, off, onToggle }: LegendItemProps) {
  const index = at.value ?? lastKnown(line.values);
  return (
    <button
      type="button"
      class={off ? 'legend-item off' : 'legend-item'}
      aria-pressed={!off}
      title={off ? 'Show' : 'Hide'}
      onClick={onToggle}
    >
      <span class={line.dash ? 'swatch swatch-dash' : 'swatch'} style={{ '--swatch': `var(--${line.colour})` }} aria-hidden="true" />
      <span>{line.label}</span>
      <span class="legend-value">{format(index === null ? null : (line.values[index] ?? null))}</span>
    </button>
  );
}

/** Whether steps are days, so that their time of day says nothing. A day may lack an hour. */
const inDays = (starts_ms: readonly number[]): boolean => (starts_ms[1] ?? 0) - (starts_ms[0] ?? 0) > DAY_MS * 0.9;

/** The moment under the pointer; as wide without one, so that nothing moves. */
function Moment({ at, mark, starts_ms }: Under & { starts_ms: readonly number[] }) {
  if (mark.value !== null) {
    return (
      <span class="legend-moment legend-mark" title={mark.value.text}>
        {clockSeconds(mark.value.at_ms)} {mark.value.text}
      </span>
    );
  }
  const ms = at.value === null ? undefined : starts_ms[at.value];
  return (
    <span class="legend-moment" title={ms === undefined ? undefined : utc(ms)}>
      {ms === undefined ? '' : inDays(starts_ms) ? day(ms) : `${day(ms).slice(5)} ${clockSeconds(ms)}`}
    </span>
  );
}

function AsTable({
  label,
  starts_ms,
  lines,
  format,
  height,
}: Pick<LinesProps, 'label' | 'starts_ms' | 'lines' | 'format'> & { height: number }) {
  const columns: Column<number>[] = [
    {
      id: 'at',
      head: 'From',
      cell: (i) => <span title={utc(starts_ms[i] ?? 0)}>{inDays(starts_ms) ? day(starts_ms[i] ?? 0) : moment(starts_ms[i] ?? 0)}</span>,
      by: (i) => i,
    },
    ...lines.map((line): Column<number> => ({
      id: line.label,
      head: line.label,
      number: true,
      cell: (i) => format(line.values[i] ?? null),
      by: (i) => line.values[i] ?? null,
    })),
  ];
  const rows = starts_ms.map((_, i) => i).slice(-ROWS_MAX);
  return (
    <div class="chart-table" style={{ height: `${height}px` }}>
      <Table label={`${label}, as a table`} columns={columns} rows={rows} rowKey={String} sort={{ id: 'at', down: true }} />
    </div>
  );
}

function lastKnown(values: readonly (number | null)[]): number | null {
  for (let i = values.length - 1; i >= 0; i -= 1) if (values[i] != null) return i;
  return null;
}

/** A line in words: where it is, and between which values it moved. */
function spoken(line: Line, format: LinesProps['format']): string {
  const known = line.values.filter((value) => value !== null);
  const last = known.at(-1);
  if (last === undefined) return `${line.label} has no values`;
  return `${line.label} is ${format(last)}, between ${format(Math.min(...known))} and ${format(Math.max(...known))}`;
}
