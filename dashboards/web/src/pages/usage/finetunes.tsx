/** The true cost of each deployment: hosting, tokens, keepalives; what a thousand requests cost; and what to do about the dear ones. */
import { NONE, count, usd, utc } from '../../format';
import type { Loaded } from '../../state/load';
import { chosen } from '../../state/scope';
import type { CostRow, Costs, Finding } from '../../types/reading';
import { Async } from '../../ui/async';
import { Card, Note } from '../../ui/basics';
import { Table, type Column } from '../../ui/table';
import { atLeast, findingTone } from '../../usage';
import { Csv } from './csv';

const FINDINGS_MAX = 8;

export function FineTunes({ costs }: { costs: Loaded<Costs> }) {
  const range = chosen('7d');
  return (
    <Card title="What each deployment costs" explain="usdPer1k" flush actions={<Csv path="costs" scope={range.scope()} />}>
      <Async
        of={costs}
        rows={48}
        empty={(data) => (data.rows.length === 0 ? 'No deployment had requests or hosting in this range.' : null)}
      >
        {(data) => (
          <>
            <Findings findings={data.findings} />
            <CostTable rows={data.rows} />
            <p class="cost-days muted small">
              Whole days in UTC, from <span class="nowrap">{utc(data.from_ms).slice(0, 10)}</span> to{' '}
              <span class="nowrap">{utc(data.to_ms - 1).slice(0, 10)}</span>. Hosting is of no route or client, so those filters do not
              count here.
            </p>
          </>
        )}
      </Async>
    </Card>
  );
}

/** What could be had cheaper, and what is not known; the dearest first. */
function Findings({ findings }: { findings: readonly Finding[] }) {
  if (findings.length === 0) return null;
  return (
    <div class="advice">
      {findings.slice(0, FINDINGS_MAX).map((finding) => (
        <Note key={`${finding.kind} ${finding.of}`} tone={findingTone(finding.kind)}>
          {finding.of !== '' && (
            <>
              <b>{finding.of}</b>:{' '}
            </>
          )}
          {finding.text}
        </Note>
      ))}
      {findings.length > FINDINGS_MAX && <p class="muted small">{findings.length - FINDINGS_MAX} more, of smaller amounts.</p>}
    </div>
  );
}

function CostTable({ rows }: { rows: readonly CostRow[] }) {
  const most = Math.max(...rows.map((row) => row.total_usd), 0.01);
  const columns: Column<CostRow>[] = [
    { id: 'deployment', head: 'deployment', by: (row) => row.deployment, cell: (row) => <span class="nowrap">{row.deployment}</span> },
    { id: 'parts', head: 'hosting and tokens as a bar', bare: true, cell: (row) => <Parts row={row} most={most} /> },
    {
      id: 'total',
      head: 'in all',
      number: true,
      by: (row) => row.total_usd,
      cell: (row) => <b>{atLeast(usd(row.total_usd), row.is_partial)}</b>,
    },
    { id: 'hosting', head: 'hosting', number: true, by: (row) => row.hosting_usd, cell: (row) => usd(row.hosting_usd) },
    { id: 'tokens', head: 'tokens', number: true, by: (row) => row.token_usd, cell: (row) => usd(row.token_usd) },
    { id: 'keepalive', head: 'keepalives', number: true, by: (row) => row.keepalive_usd, cell: (row) => usd(row.keepalive_usd) },
    { id: 'requests', head: 'requests', number: true, by: (row) => row.requests, cell: (row) => count(row.requests) },
    {
      id: 'thousand',
      head: 'per 1,000 requests',
      number: true,
      by: (row) => row.usd_per_1k_requests,
      cell: (row) => (row.usd_per_1k_requests === null ? NONE : usd(row.usd_per_1k_requests)),
    },
    { id: 'saved', head: 'saved', number: true, by: (row) => row.saved_usd, cell: (row) => usd(row.saved_usd) },
  ];
  return (
    <>
      <Table label="Cost by deployment" columns={columns} rows={rows} rowKey={(row) => row.deployment} sort={{ id: 'total', down: true }} />
      <p class="parts-key bare-key" aria-hidden="true">
        <span class="parts-hosting" /> hosting <span class="parts-tokens" /> tokens and keepalives
      </p>
    </>
  );
}

/** Hosting and the rest on one line, all deployments on one scale. */
function Parts({ row, most }: { row: CostRow; most: number }) {
  const width = (value: number): string => `${(value / most) * 100}%`;
  return (
    <span class="parts" aria-hidden="true">
      <span class="parts-hosting" style={{ width: width(row.hosting_usd) }} />
      <span class="parts-tokens" style={{ width: width(row.token_usd + row.keepalive_usd) }} />
    </span>
  );
}
