/** The filters: route, deployment, region, client. Names come from the last hour's traffic; a shared address may hold others. */
import * as api from '../api';
import { now_ms } from '../state/clock';
import { useLoad } from '../state/load';
import { place, setParams, type Filter } from '../state/url';
import { Icon } from '../ui/icon';

const HOUR_MS = 3_600_000;

async function names(filter: Filter, signal: AbortSignal): Promise<string[]> {
  const to_ms = now_ms.peek();
  const told = await api.series({ from_ms: to_ms - 24 * HOUR_MS, to_ms }, filter, 1, signal);
  return told.groups.map((group) => group.key).filter((key) => key !== '').sort();
}

export function Filters({ filters }: { filters: readonly Filter[] }) {
  const set = filters.filter((filter) => place.value.params[filter]);
  return (
    <details class="filters">
      <summary>
        <Icon name="filter" />
        <span>{set.length === 0 ? 'All traffic' : set.map((filter) => place.value.params[filter]).join(', ')}</span>
      </summary>
      <div class="filters-box">
        {filters.map((filter) => (
          <FilterField key={filter} filter={filter} />
        ))}
      </div>
    </details>
  );
}

function FilterField({ filter }: { filter: Filter }) {
  const known = useLoad(`filter|${filter}`, (signal) => names(filter, signal));
  const value = place.value.params[filter] ?? '';
  const options = known.data ?? [];
  return (
    <label class="filter">
      <span>{filter}</span>
      <select value={value} onChange={(event) => setParams({ [filter]: event.currentTarget.value })}>
        <option value="">all</option>
        {value !== '' && !options.includes(value) && <option value={value}>{value}</option>}
        {options.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
