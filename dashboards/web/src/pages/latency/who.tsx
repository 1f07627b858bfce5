/** The answer to "who is slow": a sentence, then everyone by p95 with bars on one scale. Two rows can be picked to compare. */
import { count, duration } from '../../format';
import { bySlowness, type Slow } from '../../slowness';
import { formatPlace, patched, place, setParams } from '../../state/url';
import type { LatencyOf, SeriesGroup } from '../../types/reading';
import { Pill } from '../../ui/basics';
import { Table, type Column } from '../../ui/table';
import { OF_WORDS, type By } from './index';

const times = (value: number): string => `${count(Math.round(value * 10) / 10)}×`;

export function WhoIsSlow({ groups, of, by }: { groups: readonly SeriesGroup[]; of: LatencyOf; by: By }) {
  const ranked = bySlowness(groups, of);
  const slow = ranked.filter((one) => one.stands_out);
  const scale_ms = Math.max(...ranked.map((one) => one.p99_ms ?? one.p95_ms ?? 0), 0.001);
  return (
    <>
      <p class="who-verdict">
        {slow.length === 0 ? (
          <Pill tone="ok">
            {ranked.length < 2 ? `Only one ${by} had requests, so there is nothing to compare it with.` : `No ${by} stands out.`}
          </Pill>
        ) : (
          <Pill tone="warn">
            <span>
              <b>{slow.map((one) => one.group.label || one.group.key).join(', ')}</b> {slow.length === 1 ? 'is' : 'are'} slow:{' '}
              {OF_WORDS[of]} p95 {slow.map((one) => `${duration(one.p95_ms)}, ${times(one.times ?? 1)} the others`).join('; ')}.
            </span>
          </Pill>
        )}
      </p>
      <Table
        key={`${by} ${of}`}
        label={`Latency by ${by}`}
        columns={columns(by, scale_ms)}
        rows={ranked}
        rowKey={(one) => one.group.key}
        sort={{ id: 'p95', down: true }}
      />
      <p class="who-key bare-key" aria-hidden="true">
        <span class="spans-key spans-p50" /> to p50 <span class="spans-key spans-p95" /> to p95 <span class="spans-key spans-p99" /> to p99
      </p>
    </>
  );
}

function columns(by: By, scale_ms: number): Column<Slow>[] {
  return [
    {
      id: 'key',
      head: by,
      by: (one) => one.group.label || one.group.key,
      cell: (one) => (
        <a href={formatPlace({ ...place.value, params: patched(place.value.params, { [by]: one.group.key }) })}>
          {one.group.label || one.group.key}
        </a>
      ),
    },
    { id: 'bar', head: 'p50 to p99 as a bar', bare: true, cell: (one) => <Spans slow={one} scale_ms={scale_ms} /> },
    {
      id: 'p95',
      head: 'p95',
      number: true,
      by: (one) => one.p95_ms,
      cell: (one) => <b class={one.stands_out ? 'who-slow' : undefined}>{duration(one.p95_ms)}</b>,
    },
    { id: 'times', head: '× others', number: true, by: (one) => one.times, cell: (one) => (one.times === null ? '–' : times(one.times)) },
    { id: 'p50', head: 'p50', number: true, by: (one) => one.p50_ms, cell: (one) => duration(one.p50_ms) },
    { id: 'p99', head: 'p99', number: true, by: (one) => one.p99_ms, cell: (one) => duration(one.p99_ms) },
    {
      id: 'requests',
      head: 'requests',
      number: true,
      by: (one) => one.group.total.requests,
      cell: (one) => count(one.group.total.requests),
    },
    { id: 'pick', head: 'compare', cell: (one) => <Pick group={one.group.key} /> },
  ];
}

/** p50, p95 and p99 on one line. */
function Spans({ slow, scale_ms }: { slow: Slow; scale_ms: number }) {
  const width = (ms: number | null): string => `${((ms ?? 0) / scale_ms) * 100}%`;
  return (
    <span class={slow.stands_out ? 'spans spans-slow' : 'spans'} aria-hidden="true">
      <span class="spans-p99" style={{ width: width(slow.p99_ms) }} />
      <span class="spans-p95" style={{ width: width(slow.p95_ms) }} />
      <span class="spans-p50" style={{ width: width(slow.p50_ms) }} />
    </span>
  );
}

function Pick({ group }: { group: string }) {
  return (
    <span class="picks">
      {(['a', 'b'] as const).map((side) => {
        const on = place.value.params[side] === group;
        return (
          <button
            key={side}
            type="button"
            class="pick"
            aria-pressed={on}
            aria-label={`Compare ${group} as ${side.toUpperCase()}`}
            onClick={() => setParams({ [side]: on ? '' : group }, true)}
          >
            {side.toUpperCase()}
          </button>
        );
      })}
    </span>
  );
}
