/**
 * Requests by latency over time: a column is a stretch of time, a row a span of latency, the brighter the more. Drawn under uPlot's axes,
 * with the percentiles of each column as lines. Under the pointer: the cell in words. As a table: each column's figures.
 */
import { useSignal, type Signal } from '@preact/signals';
import { useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { count, clockSeconds, day, duration, moment, plural, utc } from '../format';
import { brightest, logTicks, quantile, rowsUsed, spanOf } from '../heat';
import type { Heatmap } from '../types/reading';
import { IconButton } from '../ui/basics';
import { Table, type Column } from '../ui/table';
import { timeAxis, valueAxis } from './axis';
import { Canvas } from './canvas';
import { colour, type Colour } from './colours';
import { zoom } from './zoom';

const LINES: readonly { part: number; label: string; colour: Colour }[] = [
  { part: 0.5, label: 'p50', colour: 's1' },
  { part: 0.95, label: 'p95', colour: 'text' },
  { part: 0.99, label: 'p99', colour: 's4' },
];
const SHADES = 32;
const TICKS_MAX = 8;
const HEAT: readonly Colour[] = ['heat-0', 'heat-1', 'heat-2', 'heat-3', 'heat-4'];

interface HeatProps {
  label: string;
  heat: Heatmap;
  height?: number;
}

interface Cell {
  column: number;
  row: number;
}

export function Heat({ label, heat, height = 320 }: HeatProps) {
  const under = useSignal<Cell | null>(null);
  const [asTable, setAsTable] = useState(false);
  const latest = useRef(heat);
  latest.current = heat;
  const lines = useMemo(() => LINES.map(({ part }) => heat.counts.map((column) => quantile(column, heat.bounds_ms, part))), [heat]);
  const data = useMemo<uPlot.AlignedData>(() => [heat.starts_ms.map((ms) => (ms + heat.step_ms / 2) / 1000), ...lines], [heat, lines]);
  return (
    <figure class="chart">
      <div class="chart-switch">
        <IconButton
          small
          glyph="table"
          label={asTable ? `Show ${label} as a heat map` : `Show ${label} as a table`}
          aria-pressed={asTable}
          onClick={() => setAsTable(!asTable)}
        />
      </div>
      <figcaption class="legend">
        <span class="heat-scale" aria-hidden="true" />
        <span class="muted small">few to many requests; upward: latency, on a logarithmic scale</span>
        {LINES.map((line) => (
          <span key={line.label} class="legend-item">
            <span class="swatch" style={{ '--swatch': `var(--${line.colour})` }} aria-hidden="true" />
            {line.label}
          </span>
        ))}
        <Under cell={under} heat={heat} />
      </figcaption>
      {asTable ? (
        <AsTable label={label} heat={heat} lines={lines} height={height} />
      ) : (
        <Canvas
          label={spoken(label, heat, lines)}
          shape="heat"
          height={height}
          data={data}
          build={(width, tall) => options(width, tall, latest, under)}
        />
      )}
    </figure>
  );
}

function options(width: number, height: number, latest: { current: Heatmap }, under: Signal<Cell | null>): uPlot.Options {
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 20, 0, 0],
    cursor: {
      sync: { key: 'time', setSeries: false, filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } },
      drag: { x: true, y: false, setScale: false, dist: 8 },
      points: { show: false },
    },
    scales: {
      x: { time: true, range: () => xRange(latest.current) },
      y: { distr: 3, range: () => yRange(latest.current) },
    },
    axes: [
      timeAxis(),
      {
        ...valueAxis(duration),
        grid: { show: false },
        // Marks that crowd towards each power of ten show that the scale is logarithmic.
        ticks: { show: true, stroke: () => colour('muted'), width: 1, size: 4, filter: (_chart, ticks) => ticks },
        splits: (_chart, _axis, low, high) => logTicks(low, high, TICKS_MAX).at,
        filter: (chart, ticks) => {
          const { named } = logTicks(chart.scales['y']?.min ?? 1, chart.scales['y']?.max ?? 1, TICKS_MAX);
          return ticks.map((tick) => (named.includes(tick) ? tick : null));
        },
      },
    ],
    series: [
      {},
      ...LINES.map((line): uPlot.Series => ({ label: line.label, stroke: () => colour(line.colour), width: 1.5, points: { show: false } })),
    ],
    hooks: {
      drawClear: [(chart) => paint(chart, latest.current)],
      setCursor: [(chart) => (under.value = cellUnder(chart, latest.current))],
      setSelect: [zoom],
    },
  };
}

function xRange({ starts_ms, step_ms }: Heatmap): [number, number] {
  const first = starts_ms[0] ?? 0;
  return [first / 1000, ((starts_ms.at(-1) ?? first) + step_ms) / 1000];
}

function yRange(heat: Heatmap): [number, number] {
  const used = rowsUsed(heat) ?? { first: 0, last: heat.bounds_ms.length - 1 };
  return [spanOf(heat.bounds_ms, used.first).low_ms, spanOf(heat.bounds_ms, used.last).high_ms];
}

/** Shades from the surface's colour to the brightest, mixed once for each painting. */
function shades(): string[] {
  const stops = HEAT.map((name) => colour(name)).map((hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: SHADES }, (_, i) => {
    const at = (i / (SHADES - 1)) * (stops.length - 1);
    const low = stops[Math.floor(at)] ?? [];
    const high = stops[Math.ceil(at)] ?? low;
    return `rgb(${low.map((value, part) => Math.round(value + ((high[part] ?? value) - value) * (at % 1))).join(' ')})`;
  });
}

function paint(chart: uPlot, heat: Heatmap): void {
  const palette = shades();
  const most = brightest(heat.counts);
  if (most === 0) return;
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const edges = heat.bounds_ms.map((_, row) => {
    const { low_ms, high_ms } = spanOf(heat.bounds_ms, row);
    return [Math.round(chart.valToPos(low_ms, 'y', true)), Math.round(chart.valToPos(high_ms, 'y', true))] as const;
  });
  heat.counts.forEach((column, i) => {
    const start_ms = heat.starts_ms[i] ?? 0;
    const left = Math.round(chart.valToPos(start_ms / 1000, 'x', true));
    const right = Math.round(chart.valToPos((start_ms + heat.step_ms) / 1000, 'x', true));
    column.forEach((cell, row) => {
      if (cell === 0) return;
      const [bottom, top] = edges[row] ?? [0, 0];
      // The square root: few requests are seen too, and many are still told apart.
      const shade = 1 + Math.round(Math.sqrt(Math.min(cell / most, 1)) * (SHADES - 2));
      ctx.fillStyle = palette[shade] ?? '';
      ctx.fillRect(left, top, right - left, bottom - top);
    });
  });
  ctx.restore();
}

function cellUnder(chart: uPlot, heat: Heatmap): Cell | null {
  const { left, top } = chart.cursor;
  if (left === undefined || top === undefined || left < 0) return null;
  const at_ms = chart.posToVal(left, 'x') * 1000;
  const column = Math.floor((at_ms - (heat.starts_ms[0] ?? 0)) / heat.step_ms);
  const latency_ms = top < 0 ? Number.NaN : chart.posToVal(top, 'y');
  const row = heat.bounds_ms.findIndex((bound) => latency_ms <= bound);
  return column < 0 || column >= heat.counts.length ? null : { column, row };
}

/** The cell under the pointer in words. */
function Under({ cell, heat }: { cell: Signal<Cell | null>; heat: Heatmap }) {
  if (cell.value === null) return <span class="legend-moment" />;
  const { column, row } = cell.value;
  const start_ms = heat.starts_ms[column] ?? 0;
  const span = row < 0 ? null : spanOf(heat.bounds_ms, row);
  return (
    <span class="legend-moment" title={utc(start_ms)}>
      {day(start_ms).slice(5)} {clockSeconds(start_ms)}
      {span && `: ${plural(heat.counts[column]?.[row] ?? 0, 'request')}, ${duration(span.low_ms)} to ${duration(span.high_ms)}`}
    </span>
  );
}

interface AsTableProps {
  label: string;
  heat: Heatmap;
  lines: readonly (readonly (number | null)[])[];
  height: number;
}

function AsTable({ label, heat, lines, height }: AsTableProps) {
  const columns: Column<number>[] = [
    {
      id: 'at',
      head: 'From',
      by: (i) => i,
      cell: (i) => <span title={utc(heat.starts_ms[i] ?? 0)}>{moment(heat.starts_ms[i] ?? 0)}</span>,
    },
    { id: 'requests', head: 'requests', number: true, by: (i) => sum(heat.counts[i]), cell: (i) => count(sum(heat.counts[i])) },
    ...LINES.map(({ label: name }, k): Column<number> => ({
      id: name,
      head: name,
      number: true,
      by: (i) => lines[k]?.[i] ?? null,
      cell: (i) => duration(lines[k]?.[i]),
    })),
  ];
  return (
    <div class="chart-table" style={{ height: `${height}px` }}>
      <Table
        label={`${label}, as a table`}
        columns={columns}
        rows={heat.starts_ms.map((_, i) => i)}
        rowKey={String}
        sort={{ id: 'at', down: true }}
      />
    </div>
  );
}

const sum = (counts: readonly number[] | undefined): number => (counts ?? []).reduce((all, value) => all + value, 0);

function spoken(label: string, heat: Heatmap, lines: readonly (readonly (number | null)[])[]): string {
  const p95 = (lines[1] ?? []).filter((value) => value !== null);
  if (p95.length === 0) return `${label}: no requests`;
  const all = heat.counts.reduce((total, column) => total + sum(column), 0);
  return `${label}: ${plural(all, 'request')}; p95 between ${duration(Math.min(...p95))} and ${duration(Math.max(...p95))}`;
}
