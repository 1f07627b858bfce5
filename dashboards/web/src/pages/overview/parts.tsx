/** Where the traffic went: by route, deployment or client, the busiest first. A click narrows the whole page to that one. */
import { useState } from 'preact/hooks';
import * as api from '../../api';
import { cachedShare, errorShare, share } from '../../figures';
import { count, duration, percent } from '../../format';
import { noneOf } from '../../records';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import { patched, place, formatPlace } from '../../state/url';
import type { SeriesGroup } from '../../types/reading';
import { Async } from '../../ui/async';
import { Bar, Card } from '../../ui/basics';
import { Choice } from '../../ui/choice';
import { Table, type Column } from '../../ui/table';

const BY = ['deployment', 'route', 'region', 'client'] as const;
type By = (typeof BY)[number];
const ROWS = 12;
/** Only sums are shown, but these are of whole steps: with few steps they would be of more than the range. */
const POINTS = 60;

export function Parts() {
  const [by, setBy] = useState<By>('deployment');
  const range = chosen('1h');
  const read = useLoad(`parts ${range.key} ${by}`, (signal) => api.series(range.scope(), by, POINTS, signal), range.every_ms * 3);
  return (
    <Card
      title="Where it went"
      flush
      actions={<Choice label="By" value={by} onChange={setBy} options={BY.map((value) => ({ value, label: value }))} />}
    >
      <Async of={read} rows={24} empty={(data) => noneOf(data, !data.groups.some(busy), 'No requests in this range.')}>
        {(data) => <PartsTable by={by} groups={data.groups.filter(busy)} />}
      </Async>
    </Card>
  );
}

const busy = (group: SeriesGroup): boolean => group.total.requests > 0;

function PartsTable({ by, groups }: { by: By; groups: readonly SeriesGroup[] }) {
  const all = groups.reduce((sum, group) => sum + group.total.requests, 0);
  const columns: Column<SeriesGroup>[] = [
    {
      id: 'key',
      head: by,
      by: (group) => group.label || group.key,
      cell: (group) => (
        <a href={formatPlace({ ...place.value, params: patched(place.value.params, { [by]: group.key }) })}>{group.label || group.key}</a>
      ),
    },
    {
      id: 'share',
      head: 'share',
      by: (group) => group.total.requests,
      number: true,
      cell: (group) => (
        <span class="bar-cell">
          <Bar value={share(group.total.requests, all)} />
          {percent(share(group.total.requests, all))}
        </span>
      ),
    },
    { id: 'requests', head: 'requests', number: true, by: (group) => group.total.requests, cell: (group) => count(group.total.requests) },
    {
      id: 'errors',
      head: 'errors',
      number: true,
      by: (group) => errorShare(group.total),
      cell: (group) => percent(errorShare(group.total)),
    },
    {
      id: 'ttft',
      head: 'first token p95',
      number: true,
      by: (group) => group.total.ttft_p95_ms,
      cell: (group) => duration(group.total.ttft_p95_ms),
    },
    {
      id: 'total',
      head: 'whole p95',
      number: true,
      by: (group) => group.total.total_p95_ms,
      cell: (group) => duration(group.total.total_p95_ms),
    },
    {
      id: 'cached',
      head: 'cached',
      number: true,
      by: (group) => cachedShare(group.total),
      cell: (group) => percent(cachedShare(group.total)),
    },
  ];
  return (
    <Table
      key={by}
      label={`Traffic by ${by}`}
      columns={columns}
      rows={groups.toSorted((a, b) => b.total.requests - a.total.requests).slice(0, ROWS)}
      rowKey={(group) => group.key}
      sort={{ id: 'requests', down: true }}
    />
  );
}
