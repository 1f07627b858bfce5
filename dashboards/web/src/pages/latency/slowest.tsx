/** The slowest single requests; a row opens to where its time went. */
import { useState } from 'preact/hooks';
import * as api from '../../api';
import { Waterfall } from '../../chart/waterfall';
import { count, day, clockSeconds, duration, NONE, utc } from '../../format';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import type { LatencyOf, SlowRequest } from '../../types/reading';
import { Async } from '../../ui/async';
import { Button, Card, Pill } from '../../ui/basics';
import { Table, type Column } from '../../ui/table';
import { words } from '../../waterfall';

const LIMIT = 50;
/** Shown at first. */
const FIRST = 12;
/** Kept in the gateway's store for so long; older ranges have none. */
const KEPT = 'The slowest requests are kept for two days.';

const TITLES: Record<LatencyOf, string> = {
  ttft: 'Slowest to the first token',
  total: 'Slowest requests',
  overhead: 'Held up longest by the gateway',
};

export function Slowest({ of }: { of: LatencyOf }) {
  const range = chosen('1h');
  const [all, setAll] = useState(false);
  const read = useLoad(`${range.key} ${of}`, (signal) => api.slowest(range.scope(), of, LIMIT, signal), range.every_ms * 3);
  return (
    <Card title={TITLES[of]} explain="slowest" flush class="slowest">
      <Async of={read} rows={30} empty={(data) => (data.requests.length === 0 ? `None in this range. ${KEPT}` : null)}>
        {(data) => (
          <>
            <Table
              key={of}
              label="Slowest requests"
              columns={COLUMNS}
              rows={all ? data.requests : data.requests.slice(0, FIRST)}
              rowKey={(one) => one.id}
              sort={{ id: of, down: true }}
              detail={(one) => <Detail request={one} />}
            />
            {data.requests.length > FIRST && (
              <p class="slow-all">
                <Button small onClick={() => setAll(!all)}>
                  {all ? `Show the slowest ${FIRST}` : `Show all ${data.requests.length}`}
                </Button>
              </p>
            )}
          </>
        )}
      </Async>
    </Card>
  );
}

const COLUMNS: readonly Column<SlowRequest>[] = [
  {
    id: 'at',
    head: 'at',
    by: (one) => one.at_ms,
    cell: (one) => (
      <span class="nowrap" title={utc(one.at_ms)}>
        {day(one.at_ms).slice(5)} {clockSeconds(one.at_ms)}
      </span>
    ),
  },
  { id: 'ttft', head: 'first token', number: true, by: (one) => one.first_token_ms, cell: (one) => duration(one.first_token_ms) },
  { id: 'total', head: 'whole', number: true, by: (one) => one.total_ms, cell: (one) => duration(one.total_ms) },
  { id: 'overhead', head: 'gateway', number: true, by: (one) => one.overhead_ms, cell: (one) => duration(one.overhead_ms) },
  { id: 'client', head: 'client', by: (one) => one.client, cell: (one) => <span class="nowrap">{one.client}</span> },
  { id: 'route', head: 'route', by: (one) => one.route, cell: (one) => <span class="nowrap">{one.route}</span> },
  {
    id: 'deployment',
    head: 'deployment',
    by: (one) => one.deployment,
    cell: (one) => <span class="nowrap">{one.deployment ?? NONE}</span>,
  },
  { id: 'attempts', head: 'attempts', number: true, by: (one) => one.attempts.length, cell: (one) => one.attempts.length },
  {
    id: 'tokens',
    head: 'completion',
    number: true,
    by: (one) => one.completion_tokens,
    cell: (one) => count(one.completion_tokens),
  },
  {
    id: 'outcome',
    head: 'outcome',
    by: (one) => one.outcome,
    cell: (one) => <Pill tone={one.outcome === 'success' ? 'ok' : 'error'}>{words(one.outcome)}</Pill>,
  },
];

function Detail({ request }: { request: SlowRequest }) {
  const facts: readonly (readonly [string, string])[] = [
    ['request', request.id],
    ['operation', words(request.operation)],
    ['status', String(request.status)],
    ['placed because', words(request.reason)],
    ['prompt tokens', `${count(request.prompt_tokens)}, ${count(request.cached_tokens)} cached`],
    ['gateway’s own time', duration(request.overhead_ms)],
  ];
  return (
    <div class="slow-detail">
      <Waterfall request={request} />
      <dl class="slow-facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
