/** The regions: who is there, what comes, and whether the others could carry it all without them. */
import { share } from '../figures';
import { count, duration, percent } from '../format';
import { may } from '../state/session';
import type { FleetRegion } from '../types/state';
import { Button, Pill } from '../ui/basics';
import { headroomWords, leastHeadroom } from './headroom';
import { Table, type Column } from '../ui/table';

interface RegionsProps {
  regions: readonly FleetRegion[];
  drained: readonly string[];
  onDrain: (region: string) => void;
  onUndo: (region: string) => void;
}

export function Regions({ regions, drained, onDrain, onUndo }: RegionsProps) {
  const columns: Column<FleetRegion>[] = [
    { id: 'name', head: 'Region', cell: ({ name }) => <b>{name}</b>, by: ({ name }) => name },
    {
      id: 'usable',
      head: 'Usable',
      cell: ({ usable, deployments }) => (
        <Pill tone={usable === deployments ? 'ok' : usable === 0 ? 'error' : 'warn'}>
          <span class="nowrap">
            {usable} of {deployments}
          </span>
        </Pill>
      ),
      by: ({ usable, deployments }) => usable / Math.max(deployments, 1),
    },
    {
      id: 'requests',
      head: 'Requests, 15 min',
      cell: ({ requests }) => count(requests),
      by: ({ requests }) => requests ?? null,
      number: true,
    },
    {
      id: 'errors',
      head: 'Failed',
      cell: ({ errors, requests }) => percent(share(errors ?? 0, requests ?? 0)),
      by: ({ errors }) => errors ?? null,
      number: true,
    },
    {
      id: 'ttft',
      head: 'First token p95',
      cell: ({ ttft_p95_ms }) => duration(ttft_p95_ms),
      by: ({ ttft_p95_ms }) => ttft_p95_ms ?? null,
      number: true,
    },
    {
      id: 'without',
      head: 'Without it',
      cell: (region) => <Without region={region} />,
      by: (region) => leastHeadroom(region)?.ratio ?? null,
    },
    {
      id: 'act',
      head: 'Action',
      cell: ({ name }) =>
        drained.includes(name) ? (
          <Button small aria-label={`Put back region ${name}`} disabled={!may('operator')} onClick={() => onUndo(name)}>
            Put back
          </Button>
        ) : (
          <Button
            small
            aria-label={`Take out… region ${name}`}
            disabled={!may('operator')}
            title={may('operator') ? undefined : 'needs the role operator'}
            onClick={() => onDrain(name)}
          >
            Take out…
          </Button>
        ),
    },
  ];
  return <Table label="Regions, one a row" columns={columns} rows={regions} rowKey={({ name }) => name} />;
}

function Without({ region }: { region: FleetRegion }) {
  const least = leastHeadroom(region);
  if (least === null) return <span class="muted">not known yet</span>;
  return (
    <span class="region-without">
      <Pill tone={least.ratio >= 1 ? 'ok' : 'warn'}>{headroomWords(least)}</Pill>
    </span>
  );
}
