/** Two of a kind side by side: p95 and median over each other, and a table of the differences. */
import { useMemo } from 'preact/hooks';
import { Lines, type Line } from '../../chart/lines';
import { cachedShare, change, errorShare, share } from '../../figures';
import { count, duration, percent, signed } from '../../format';
import { bySlowness } from '../../slowness';
import { place, setParams } from '../../state/url';
import type { Figures, LatencyOf, Series, SeriesGroup } from '../../types/reading';
import { Card } from '../../ui/basics';
import { Table, type Column } from '../../ui/table';
import { OF_WORDS, type By } from './index';

interface Measure {
  name: string;
  of: (figures: Figures) => number | null;
  format: (value: number | null) => string;
}

function measures(of: LatencyOf): Measure[] {
  return [
    { name: `${OF_WORDS[of]} p50`, of: (figures) => figures[`${of}_p50_ms`], format: duration },
    { name: `${OF_WORDS[of]} p95`, of: (figures) => figures[`${of}_p95_ms`], format: duration },
    { name: `${OF_WORDS[of]} p99`, of: (figures) => figures[`${of}_p99_ms`], format: duration },
    { name: 'requests', of: (figures) => figures.requests, format: count },
    { name: 'errors', of: errorShare, format: percent },
    { name: 'attempts a request', of: ({ attempts, requests }) => share(attempts, requests), format: count },
    { name: 'prompt tokens a request', of: ({ prompt_tokens, requests }) => share(prompt_tokens, requests), format: count },
    { name: 'completion tokens a request', of: ({ completion_tokens, requests }) => share(completion_tokens, requests), format: count },
    { name: 'cached', of: cachedShare, format: percent },
  ];
}

/** Without a choice in the address: the slowest and the fastest, which is what one wants to understand. */
export function Comparison({ series, of, by }: { series: Series; of: LatencyOf; by: By }) {
  const ranked = useMemo(() => bySlowness(series.groups, of).map((one) => one.group), [series, of]);
  const { params } = place.value;
  const find = (key: string | undefined): SeriesGroup | undefined => ranked.find((group) => group.key === key);
  const a = find(params['a']) ?? ranked.find((group) => group.key !== params['b']);
  const b = find(params['b']) ?? ranked.findLast((group) => group !== a);
  if (a === undefined || b === undefined) return null;
  return (
    <Card
      title={`Compare two ${by}s`}
      actions={
        <>
          <Side side="a" value={a.key} groups={ranked} />
          <Side side="b" value={b.key} groups={ranked} />
        </>
      }
      class="comparison"
    >
      <div class="comparison-body">
        <Overlay a={a} b={b} series={series} of={of} />
        <Differences a={a} b={b} of={of} />
      </div>
    </Card>
  );
}

function Side({ side, value, groups }: { side: 'a' | 'b'; value: string; groups: readonly SeriesGroup[] }) {
  return (
    <label class={`side side-${side}`}>
      <span>{side.toUpperCase()}</span>
      <select value={value} onChange={(event) => setParams({ [side]: event.currentTarget.value }, true)}>
        {groups.map((group) => (
          <option key={group.key} value={group.key}>
            {group.label || group.key}
          </option>
        ))}
      </select>
    </label>
  );
}

function Overlay({ a, b, series, of }: { a: SeriesGroup; b: SeriesGroup; series: Series; of: LatencyOf }) {
  const lines = useMemo(
    (): Line[] => [
      { label: 'A p95', colour: 's2', values: a.points[`${of}_p95_ms`] },
      { label: 'B p95', colour: 's1', values: b.points[`${of}_p95_ms`] },
      { label: 'A p50', colour: 's2', values: a.points[`${of}_p50_ms`], dash: true },
      { label: 'B p50', colour: 's1', values: b.points[`${of}_p50_ms`], dash: true },
    ],
    [a, b, of],
  );
  return (
    <Lines
      label={`${OF_WORDS[of]} of A and B`}
      starts_ms={series.starts_ms}
      from_ms={series.from_ms}
      to_ms={series.to_ms}
      lines={lines}
      format={duration}
      height={260}
    />
  );
}

function Differences({ a, b, of }: { a: SeriesGroup; b: SeriesGroup; of: LatencyOf }) {
  const columns: Column<Measure>[] = [
    { id: 'name', head: 'figure', cell: (one) => one.name },
    { id: 'a', head: 'A', number: true, cell: (one) => one.format(one.of(a.total)) },
    { id: 'b', head: 'B', number: true, cell: (one) => one.format(one.of(b.total)) },
    { id: 'more', head: 'A against B', number: true, cell: (one) => signed(change(one.of(a.total), one.of(b.total))) },
  ];
  return <Table label="Differences of A and B" columns={columns} rows={measures(of)} rowKey={(one) => one.name} />;
}
