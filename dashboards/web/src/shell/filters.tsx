/** The filters: route, deployment, region, client. Names come from the last day's traffic; a shared address may hold others. */
import { useEffect, useRef, useState } from 'preact/hooks';
import * as api from '../api';
import { now_ms } from '../state/clock';
import { useLoad } from '../state/load';
import { place, setParams, type Filter } from '../state/url';
import { IconButton } from '../ui/basics';
import { Icon } from '../ui/icon';

const DAY_MS = 86_400_000;

async function names(filter: Filter, signal: AbortSignal): Promise<string[]> {
  const to_ms = now_ms.peek();
  const told = await api.series({ from_ms: to_ms - DAY_MS, to_ms }, filter, 1, signal);
  return told.groups
    .map((group) => group.key)
    .filter((key) => key !== '')
    .sort();
}

export function Filters({ filters }: { filters: readonly Filter[] }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event): void => {
      if (event.target instanceof Node && box.current?.contains(event.target) !== true) setOpen(false);
    };
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape') return;
      setOpen(false);
      button.current?.focus();
    };
    addEventListener('pointerdown', outside);
    addEventListener('focusin', outside);
    addEventListener('keydown', escape);
    return () => {
      removeEventListener('pointerdown', outside);
      removeEventListener('focusin', outside);
      removeEventListener('keydown', escape);
    };
  }, [open]);

  const set = filters.filter((filter) => place.value.params[filter]);
  const clear = (): void => setParams(Object.fromEntries(filters.map((filter) => [filter, ''])));
  return (
    <div ref={box} class="filters">
      <button ref={button} type="button" class="filters-button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="filter" />
        <span>{set.length === 0 ? 'All traffic' : set.map((filter) => place.value.params[filter]).join(', ')}</span>
      </button>
      {set.length > 0 && <IconButton small glyph="close" label="Show all traffic" onClick={clear} />}
      {open && (
        <div class="filters-box">
          {filters.map((filter) => (
            <FilterField key={filter} filter={filter} />
          ))}
        </div>
      )}
    </div>
  );
}

function FilterField({ filter }: { filter: Filter }) {
  const known = useLoad(`filter ${filter}`, (signal) => names(filter, signal));
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
