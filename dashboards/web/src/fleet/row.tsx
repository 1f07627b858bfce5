/** One deployment as a dense row, and as a card on a narrow window: state, room, load, latency, cache, inactivity clock, cost. */
import { NONE, count, duration, percent, usd, utc } from '../format';
import { cachedShare } from '../figures';
import { now_ms } from '../state/clock';
import type { FleetDeployment } from '../types/state';
import { Bar, IconButton, Pill } from '../ui/basics';
import { Spark } from '../chart/spark';
import { idleOf, roomOf, stateOf } from './words';

export const HEADS = [
  'Deployment',
  'State',
  'Room left',
  'In flight',
  'First token p50 / p95',
  'Cached',
  'Inactivity',
  'Per hour',
  '',
] as const;

interface RowProps {
  deployment: FleetDeployment;
  /** Median time to first token of the last hour, by step. */
  spark: readonly (number | null)[] | null;
  isOpen: boolean;
  onOpen: () => void;
}

export function Row({ deployment, spark, isOpen, onOpen }: RowProps) {
  const { name, recent } = deployment;
  const [resource, own] = [name.slice(0, name.lastIndexOf('/') + 1), name.slice(name.lastIndexOf('/') + 1)];
  const state = stateOf(deployment, now_ms.value);
  return (
    <tr role="row" class={isOpen ? 'fleet-row open' : 'fleet-row'}>
      <th role="rowheader" scope="row" class="fleet-name">
        <span class="fleet-own">
          <span class="muted">{resource}</span>
          {own}
        </span>
        <span class="muted small">
          {deployment.region} · {deployment.sku?.replace(/Managed$/, '') ?? 'unknown type'}
        </span>
      </th>
      <td role="cell" data-head={HEADS[1]} class="fleet-state">
        <Pill tone={state.tone}>{state.word}</Pill>
        {state.detail && <span class="muted small">{state.detail}</span>}
      </td>
      <td role="cell" data-head={HEADS[2]}>
        <Room deployment={deployment} />
      </td>
      <td role="cell" data-head={HEADS[3]} class="right">
        {count(deployment.in_flight)}
      </td>
      <td role="cell" data-head={HEADS[4]}>
        <span class="fleet-latency">
          <span>
            {duration(recent?.ttft_p50_ms)} <span class="muted">/ {duration(recent?.ttft_p95_ms)}</span>
          </span>
          {spark && <Spark values={spark} />}
        </span>
      </td>
      <td role="cell" data-head={HEADS[5]} class="right">
        {recent ? percent(cachedShare(recent)) : NONE}
      </td>
      <td role="cell" data-head={HEADS[6]}>
        <Clock deployment={deployment} />
      </td>
      <td role="cell" data-head={HEADS[7]} class="right">
        {usd(deployment.hosting_usd_per_hour)}
      </td>
      <td role="cell" class="right">
        <IconButton small glyph="chevron" aria-expanded={isOpen} label={`${isOpen ? 'Close' : 'Open'} ${name}`} onClick={onOpen} />
      </td>
    </tr>
  );
}

function Room({ deployment }: { deployment: FleetDeployment }) {
  const room = roomOf(deployment);
  if (room === null) {
    const isReserved = deployment.capacity !== null && deployment.sku?.includes('Provisioned');
    return (
      <span class="fleet-clock">
        {isReserved && <span>{count(deployment.capacity)} PTU</span>}
        <span class="muted small">limit not known</span>
      </span>
    );
  }
  return (
    <span class="fleet-room">
      <Bar value={room.left} tone={room.tone} />
      <span class="small">
        {percent(room.left)} <span class="muted">of {count(deployment.limit_tokens_per_minute)}</span>
      </span>
    </span>
  );
}

/** `11 Dec`, in the viewer's words. */
const shortDay = (ms: number): string => new Date(ms).toLocaleDateString(undefined, { day: 'numeric', month: 'short' });

function Clock({ deployment }: { deployment: FleetDeployment }) {
  const idle = idleOf(deployment, now_ms.value);
  if (idle === null) return <span class="muted small">never deleted</span>;
  return (
    <span class="fleet-clock">
      {idle.tone === 'quiet' ? <span>{idle.text}</span> : <Pill tone={idle.tone}>{idle.text}</Pill>}
      {idle.deletion_at_ms !== null && (
        <span class="muted small" title={utc(idle.deletion_at_ms)}>
          {idle.next ?? `deleted ${idle.isExact ? '' : 'by '}${shortDay(idle.deletion_at_ms)} if unused`}
        </span>
      )}
    </span>
  );
}
