/** Usage and cost: what it came to, day by day, by whom; the true cost of each fine-tune, and what could be saved. */
import * as api from '../../api';
import { share } from '../../figures';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import { usd } from '../../format';
import { sumOf } from '../../usage';
import type { CostRow } from '../../types/reading';
import { Async } from '../../ui/async';
import { Explain } from '../../ui/explain';
import type { Term } from '../../explain';
import { ByWhom } from './by';
import { Days } from './days';
import { FineTunes } from './finetunes';
import './usage.css';

export default function Usage() {
  const range = chosen('7d');
  const costs = useLoad(range.key, (signal) => api.costs(range.scope(), signal), range.every_ms);
  return (
    <div class="stack">
      <Async of={costs} rows={11}>
        {(data) => <Totals rows={data.rows} />}
      </Async>
      <Days />
      <FineTunes costs={costs} />
      <ByWhom />
    </div>
  );
}

function Totals({ rows }: { rows: readonly CostRow[] }) {
  const sum = sumOf(rows);
  const thousand = share(sum.total_usd, sum.requests);
  const figures: readonly (readonly [string, Term, string])[] = [
    ['In all', 'money', usd(sum.total_usd)],
    ['Hosting', 'hosting', usd(sum.hosting_usd)],
    ['Tokens', 'tokenUsd', usd(sum.token_usd)],
    ['Keepalives', 'keepalive', usd(sum.keepalive_usd)],
    ['A thousand requests', 'usdPer1k', usd(thousand === null ? null : thousand * 1000)],
    ['Saved by caching', 'saved', usd(sum.saved_usd)],
  ];
  return (
    <dl class="totals">
      {figures.map(([name, term, value]) => (
        <div key={name}>
          <dt>
            {name} <Explain term={term} />
          </dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
