/** How requests are routed: pools with tiers and weights, what flowed where, why some went elsewhere, and where one would go now. */
import { useState } from 'preact/hooks';
import * as api from '../api';
import { Heads } from '../routing/heads';
import { ExplainRequest } from '../routing/explain';
import { Failovers, Spills } from '../routing/moves';
import { Pools } from '../routing/pools';
import { Sankey } from '../routing/sankey';
import { UNKEPT } from '../records';
import { now_ms } from '../state/clock';
import { useLoad } from '../state/load';
import { formatPlace, place, scopeOf } from '../state/url';
import type { Flows, PoolInfo, Routing } from '../types/state';
import { Async } from '../ui/async';
import { Card } from '../ui/basics';
import { Choice } from '../ui/choice';
import '../styles/routing.css';

const EVERY_MS = 15_000;
const DAY_MS = 86_400_000;
const VIEWS = [
  { value: 'drawing', label: 'Drawing' },
  { value: 'table', label: 'Table' },
] as const;

export default function RoutingPage() {
  const routing = useLoad('routing', (signal) => api.routing(signal), EVERY_MS);
  const fleet = useLoad('routing-fleet', (signal) => api.fleet(signal), EVERY_MS);
  const flows = useLoad(
    `flows|${formatPlace(place.value)}`,
    (signal) => api.flows(scopeOf(place.value.params, '1h', now_ms.peek()), signal),
    EVERY_MS,
  );
  const clients = useLoad('routing-clients', (signal) =>
    api.series({ from_ms: now_ms.peek() - DAY_MS, to_ms: now_ms.peek() }, 'client', 1, signal),
  );
  const [view, setView] = useState<'drawing' | 'table'>('drawing');
  const regions = new Map((fleet.data?.deployments ?? []).map(({ name, region }) => [name, region]));
  const { route } = place.value.params;
  return (
    <div class="stack">
      <Card title="Pools and tiers" explain="pool">
        <Async of={routing} rows={40} empty={(data) => (data.pools.length === 0 ? 'No pool is configured.' : null)}>
          {(data) => (
            <Pools
              pools={ofRoute(data, route)}
              routes={data.routes}
              regionOf={(deployment) => regions.get(deployment) ?? ''}
              regions={[...new Set(regions.values())].sort()}
            />
          )}
        </Async>
      </Card>
      <Card title="What flowed where" explain="flow" actions={<Choice label="Show as" options={VIEWS} value={view} onChange={setView} />}>
        <Async of={flows} rows={40} empty={(data) => unkept(data) ?? (data.flows.length === 0 ? 'No requests in this range.' : null)}>
          {(data) => <Sankey flows={data.flows} asTable={view === 'table'} />}
        </Async>
      </Card>
      <div class="grid">
        <Card title="Spills">
          <Async of={flows} rows={20} empty={unkept}>
            {(data) => <Spills flows={data} />}
          </Async>
        </Card>
        <Card title="Failovers" explain="failovers">
          <Async of={flows} rows={20} empty={unkept}>
            {(data) => <Failovers flows={data} />}
          </Async>
        </Card>
      </div>
      <Card title="Homes of hot beginnings" explain="heads" flush>
        <Async of={routing} rows={20}>
          {(data) => <Heads heads={data.heads} table={data.table} />}
        </Async>
      </Card>
      <Card title="Where would this request go?" explain="plan">
        <ExplainRequest
          routes={(routing.data?.routes ?? []).map(({ name }) => name)}
          clients={(clients.data?.groups ?? []).map(({ key }) => key).filter((key) => key !== '')}
        />
      </Card>
    </div>
  );
}

const unkept = ({ time }: Flows): string | null => (time === null ? UNKEPT : null);

/** The pools that the filter leaves: that of one route, or all. */
function ofRoute(data: Routing, route: string | undefined): readonly PoolInfo[] {
  const pool = data.routes.find(({ name }) => name === route)?.pool;
  return pool === undefined ? data.pools : data.pools.filter(({ name }) => name === pool);
}
