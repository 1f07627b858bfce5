/** Usage by client, route, deployment, region or day, with the sum below and the same as CSV. */
import { useState } from 'preact/hooks';
import * as api from '../../api';
import { cachedShare, errorShare, share } from '../../figures';
import { count, exact, percent, usd } from '../../format';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import type { UsageBy, UsageRow } from '../../types/reading';
import { Async } from '../../ui/async';
import { Bar, Card } from '../../ui/basics';
import { Choice } from '../../ui/choice';
import { Table, type Column } from '../../ui/table';
import { atLeast } from '../../usage';
import { Csv } from './csv';

const BY: readonly UsageBy[] = ['client', 'route', 'deployment', 'region', 'day'];

export function ByWhom() {
  const [by, setBy] = useState<UsageBy>('client');
  const range = chosen('7d');
  const read = useLoad(`${range.key} ${by}`, (signal) => api.usage(range.scope(), by, signal), range.every_ms);
  return (
    <Card
      title="Who used it"
      flush
      actions={
        <>
          <Choice label="By" value={by} onChange={setBy} options={BY.map((value) => ({ value, label: value }))} />
          <Csv path="usage" query={{ by }} scope={range.scope()} />
        </>
      }
    >
      <Async of={read} rows={30} empty={(data) => (data.rows.length === 0 ? 'No requests in this range.' : null)}>
        {(data) => (
          <>
            <UsageTable by={by} rows={data.rows} />
            <p class="cost-days muted small">
              In all {count(data.total.requests)} requests and {usd(data.total.token_usd)} for tokens.
              {data.total.unpriced_requests > 0 && ` ${count(data.total.unpriced_requests)} requests went to deployments without a price.`}
              {data.truncated && ' There are more rows than one answer holds: choose a shorter range, or a filter.'}
            </p>
          </>
        )}
      </Async>
    </Card>
  );
}

function UsageTable({ by, rows }: { by: UsageBy; rows: readonly UsageRow[] }) {
  const all = rows.reduce((sum, row) => sum + row.token_usd, 0);
  const columns: Column<UsageRow>[] = [
    { id: 'key', head: by, by: (row) => row.key, cell: (row) => <span class="nowrap">{row.key}</span> },
    {
      id: 'share',
      head: 'share of price',
      number: true,
      by: (row) => row.token_usd,
      cell: (row) => (
        <span class="bar-cell">
          <Bar value={share(row.token_usd, all)} tone="warn" />
          {percent(share(row.token_usd, all))}
        </span>
      ),
    },
    {
      id: 'usd',
      head: 'tokens’ price',
      number: true,
      by: (row) => row.token_usd,
      cell: (row) => atLeast(usd(row.token_usd), row.unpriced_requests > 0),
    },
    { id: 'saved', head: 'saved', number: true, by: (row) => row.saved_usd, cell: (row) => usd(row.saved_usd) },
    {
      id: 'requests',
      head: 'requests',
      number: true,
      by: (row) => row.requests,
      cell: (row) => <span title={exact(row.requests)}>{count(row.requests)}</span>,
    },
    { id: 'errors', head: 'errors', number: true, by: errorShare, cell: (row) => percent(errorShare(row)) },
    { id: 'prompt', head: 'prompt tokens', number: true, by: (row) => row.prompt_tokens, cell: (row) => count(row.prompt_tokens) },
    { id: 'cached', head: 'cached', number: true, by: cachedShare, cell: (row) => percent(cachedShare(row)) },
    {
      id: 'completion',
      head: 'completion tokens',
      number: true,
      by: (row) => row.completion_tokens,
      cell: (row) => count(row.completion_tokens),
    },
  ];
  return (
    <Table
      key={by}
      label={`Usage by ${by}`}
      columns={columns}
      rows={rows}
      rowKey={(row) => row.key}
      sort={by === 'day' ? { id: 'key', down: true } : { id: 'usd', down: true }}
    />
  );
}
