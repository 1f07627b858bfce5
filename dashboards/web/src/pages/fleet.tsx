/** Every deployment and region: how it stands, what is left, what will become of it, and taking it out or putting it back. */
import { Fragment } from 'preact';
import { useState } from 'preact/hooks';
import * as api from '../api';
import { Detail } from '../fleet/detail';
import { Drain, type Target } from '../fleet/drain';
import { withTick } from '../fleet/live';
import { Regions } from '../fleet/regions';
import { HEADS, Row } from '../fleet/row';
import { usd } from '../format';
import { tick } from '../live';
import { now_ms } from '../state/clock';
import { useLoad } from '../state/load';
import { place } from '../state/url';
import { drainOf } from '../fleet/words';
import type { Drains, FleetDeployment } from '../types/state';
import { Async } from '../ui/async';
import { Card } from '../ui/basics';
import { toast } from '../ui/toast';
import '../styles/fleet.css';

const EVERY_MS = 10_000;
const SPARK_EVERY_MS = 60_000;
const SPARK_POINTS = 30;
const HOUR_MS = 3_600_000;

/** When the newest tick came, by this machine's clock. */
let tickCame_ms = 0;
tick.subscribe(() => {
  tickCame_ms = Date.now();
});

export default function FleetPage() {
  const fleet = useLoad('fleet', (signal) => api.fleet(signal), EVERY_MS);
  const drains = useLoad('fleet-drains', (signal) => api.drains(signal), EVERY_MS);
  const sparks = useLoad(
    'fleet-sparks',
    (signal) => api.series({ from_ms: now_ms.peek() - HOUR_MS, to_ms: now_ms.peek() }, 'deployment', SPARK_POINTS, signal),
    SPARK_EVERY_MS,
  );
  const [target, setTarget] = useState<Target | null>(null);
  const changed = (): void => (fleet.reload(), drains.reload());
  const undo = (kind: string, name: string): void => {
    api.undrain(kind, name).then(
      () => (toast(`${name} gets requests again`), changed()),
      (error: unknown) => toast(error instanceof Error ? error.message : String(error), 'error'),
    );
  };
  const ttft = new Map((sparks.data?.groups ?? []).map((group) => [group.key, group.points.ttft_p50_ms]));
  const { region, deployment } = place.value.params;
  const chosen = (all: readonly FleetDeployment[]): FleetDeployment[] =>
    all.filter((other) => (!region || other.region === region) && (!deployment || other.name === deployment));
  const drained = (drains.data?.drains ?? []).filter(({ kind }) => kind === 'region').map(({ name }) => name);
  return (
    <div class="stack">
      <Async of={fleet} rows={60} empty={(data) => (chosen(data.deployments).length === 0 ? 'No deployment matches the filters.' : null)}>
        {(data) => {
          const all = withTick(data.deployments, tick.value, tickCame_ms, fleet.at_ms);
          return (
            <>
              <Card title="Deployments" explain="breaker" flush actions={<Hourly deployments={all} />}>
                <Deployments
                  deployments={chosen(all)}
                  drains={drains.data?.drains ?? []}
                  ttft={ttft}
                  onDrain={(name) => setTarget({ kind: 'deployment', name })}
                  onChanged={changed}
                />
              </Card>
              <Card title="Regions" explain="headroom" flush>
                <Regions
                  regions={data.regions}
                  drained={drained}
                  onDrain={(name) => setTarget({ kind: 'region', name })}
                  onUndo={(name) => undo('region', name)}
                />
              </Card>
              {target && <Drain target={target} deployments={all} onClose={() => setTarget(null)} onChanged={changed} />}
            </>
          );
        }}
      </Async>
    </div>
  );
}

function Hourly({ deployments }: { deployments: readonly FleetDeployment[] }) {
  const known = deployments.filter(({ hosting_usd_per_hour }) => hosting_usd_per_hour !== null);
  const sum = known.reduce((total, { hosting_usd_per_hour }) => total + (hosting_usd_per_hour ?? 0), 0);
  return (
    <span class="muted">
      {usd(sum)} an hour{known.length < deployments.length ? `, ${deployments.length - known.length} of unknown price left out` : ''}
    </span>
  );
}

interface DeploymentsProps {
  drains: Drains['drains'];
  deployments: readonly FleetDeployment[];
  ttft: ReadonlyMap<string, readonly (number | null)[]>;
  onDrain: (name: string) => void;
  onChanged: () => void;
}

function Deployments({ deployments, drains, ttft, onDrain, onChanged }: DeploymentsProps) {
  const [open, setOpen] = useState<string | null>(null);
  return (
    <div class="table-box" role="region" aria-label="Deployments, one a row" tabIndex={0}>
      <table class="table fleet" role="table">
        <thead role="rowgroup">
          <tr role="row">
            {HEADS.map((head) => (
              <th
                key={head}
                role="columnheader"
                scope="col"
                class={['In flight', 'Cached', 'Per hour'].includes(head) ? 'right' : undefined}
              >
                {head === '' ? <span class="hidden">Details</span> : head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {deployments.map((deployment) => {
            const { name } = deployment;
            return (
              <Fragment key={name}>
                <Row
                  deployment={deployment}
                  spark={ttft.get(name) ?? null}
                  isOpen={open === name}
                  onOpen={() => setOpen(open === name ? null : name)}
                />
                {open === name && (
                  <tr class="detail" role="row">
                    <td role="cell" colSpan={HEADS.length}>
                      <Detail
                        deployment={deployment}
                        drain={drainOf(deployment, drains)}
                        onDrain={() => onDrain(name)}
                        onChanged={onChanged}
                      />
                    </td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
