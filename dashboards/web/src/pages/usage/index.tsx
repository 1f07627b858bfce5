/** Usage and cost: what it came to, day by day, by whom; the true cost of each fine-tune, and what could be saved. */
import * as api from '../../api';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import { usd } from '../../format';
import { atLeast } from '../../usage';
import type { Costs } from '../../types/reading';
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
        {(data) => <Totals costs={data} />}
      </Async>
      <Days />
      <FineTunes costs={costs} />
      <ByWhom />
    </div>
  );
}

function Totals({ costs: { total, forecast } }: { costs: Costs }) {
  const figures: [string, Term, string][] = [
    ['In all', 'money', atLeast(usd(total.total_usd), total.is_partial)],
    ['Hosting', 'hosting', usd(total.hosting_usd)],
    ['Tokens', 'tokenUsd', usd(total.token_usd)],
    ['Keepalives', 'keepalive', usd(total.keepalive_usd)],
    ['Per 1,000', 'usdPer1k', usd(total.usd_per_1k_requests)],
    ['Saved', 'saved', usd(total.saved_usd)],
  ];
  if (forecast !== null) figures.push(['This month', 'forecast', atLeast(usd(forecast.total_usd), forecast.is_partial)]);
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
