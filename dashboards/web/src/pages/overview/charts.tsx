/** The larger charts of all traffic. A stretch dragged out in one becomes the range of all. */
import { useMemo } from 'preact/hooks';
import { Lines, type Line } from '../../chart/lines';
import type { Mark } from '../../chart/marks';
import { duration, NONE, percent, perSecond, usdShort } from '../../format';
import { plus, rates, shares } from '../../series';
import type { LatencyOf, Points, Series } from '../../types/reading';
import { Card } from '../../ui/basics';
import { Since } from '../../ui/since';
import type { Term } from '../../explain';

const HOUR_S = 3_600;

interface Chart {
  title: string;
  term: Term;
  format: (value: number | null) => string;
  lines: (points: Points, series: Series) => Line[];
}

const less = (a: readonly number[], b: readonly number[]): number[] =>
  plus(
    a,
    b.map((value) => -value),
  );

function percentiles(of: LatencyOf): Chart['lines'] {
  return (points) => [
    { label: 'p50', colour: 's1', values: points[`${of}_p50_ms`] },
    { label: 'p95', colour: 's2', values: points[`${of}_p95_ms`] },
    { label: 'p99', colour: 's4', values: points[`${of}_p99_ms`], dash: true },
  ];
}

const CHARTS: readonly Chart[] = [
  {
    title: 'Requests',
    term: 'requests',
    format: perSecond,
    lines: (p, s) => [{ label: 'requests', colour: 's1', values: rates(s, p.requests), fill: true }],
  },
  {
    title: 'What went wrong',
    term: 'errors',
    format: perSecond,
    lines: (p, s) => [
      { label: 'errors', colour: 'error', values: rates(s, p.errors), fill: true },
      { label: 'throttled attempts', colour: 's5', values: rates(s, p.throttled) },
      { label: 'failovers', colour: 's1', values: rates(s, p.failovers) },
    ],
  },
  { title: 'Time to first token', term: 'ttft', format: duration, lines: percentiles('ttft') },
  { title: 'Whole request', term: 'total', format: duration, lines: percentiles('total') },
  {
    title: 'Tokens',
    term: 'tokens',
    format: perSecond,
    lines: (p, s) => [
      { label: 'cached prompt', colour: 's3', values: rates(s, p.cached_tokens), fill: true },
      { label: 'other prompt', colour: 's1', values: rates(s, less(p.prompt_tokens, p.cached_tokens)) },
      { label: 'completion', colour: 's4', values: rates(s, p.completion_tokens) },
    ],
  },
  { title: 'Gateway’s own time', term: 'overhead', format: duration, lines: percentiles('overhead') },
  {
    title: 'Cached share',
    term: 'cached',
    format: percent,
    lines: (p) => [{ label: 'cached', colour: 's3', values: shares(p.cached_tokens, p.prompt_tokens), fill: true }],
  },
  {
    title: 'Tokens’ price',
    term: 'money',
    format: (value) => (value === null ? NONE : `${usdShort(value)}/h`),
    lines: (p, s) => [
      { label: 'paid', colour: 's5', values: hourly(rates(s, p.token_usd)), fill: true },
      { label: 'saved by caching', colour: 's3', values: hourly(rates(s, p.saved_usd)) },
    ],
  },
];

const hourly = (values: readonly (number | null)[]): (number | null)[] => values.map((value) => (value === null ? null : value * HOUR_S));

export function Charts({ series, since_ms, marks }: { series: Series; since_ms: number | null; marks: readonly Mark[] }) {
  return (
    <>
      <div class="grid charts">
        {CHARTS.map((chart) => (
          <ChartCard key={chart.title} chart={chart} series={series} marks={marks} />
        ))}
      </div>
      <p class="muted small">
        {marks.length > 0 && '▼ marks an event; point at it to read it, or see them all under Events. '}
        Drag across a chart to look closer. <Since ms={since_ms} />
      </p>
    </>
  );
}

function ChartCard({ chart, series, marks }: { chart: Chart; series: Series; marks: readonly Mark[] }) {
  const points = series.groups[0]?.points;
  const lines = useMemo(() => (points ? chart.lines(points, series) : []), [points, series]);
  return (
    <Card title={chart.title} explain={chart.term}>
      <Lines
        label={chart.title}
        starts_ms={series.starts_ms}
        from_ms={series.from_ms}
        to_ms={series.to_ms}
        lines={lines}
        format={chart.format}
        marks={marks}
      />
    </Card>
  );
}
