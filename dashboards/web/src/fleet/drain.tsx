/** The dialog that takes a deployment or a region out: for how long, who takes over, and what it would break. */
import { useState } from 'preact/hooks';
import * as api from '../api';
import type { FleetDeployment } from '../types/state';
import { Button, Field, Note } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { toast } from '../ui/toast';
import { Words } from '../ui/words';
import { emptied, takeOver } from './words';

export interface Target {
  kind: 'deployment' | 'region';
  name: string;
}

const LASTS: readonly { label: string; for_s: number | null }[] = [
  { label: '10 minutes', for_s: 600 },
  { label: '30 minutes', for_s: 1_800 },
  { label: '1 hour', for_s: 3_600 },
  { label: '4 hours', for_s: 14_400 },
  { label: 'until it is put back', for_s: null },
];
const USUAL = 1;

interface DrainProps {
  target: Target;
  deployments: readonly FleetDeployment[];
  onClose: () => void;
  onChanged: () => void;
}

export function Drain({ target, deployments, onClose, onChanged }: DrainProps) {
  const [lasts, setLasts] = useState(USUAL);
  const [force, setForce] = useState(false);
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const out = deployments.filter((other) => (target.kind === 'region' ? other.region : other.name) === target.name).map(({ name }) => name);
  const pools = emptied(deployments, out);
  const needsForce = pools.length > 0 || refusal !== null;
  const begin = async (): Promise<void> => {
    setBusy(true);
    try {
      const for_s = LASTS[lasts]?.for_s ?? null;
      await api.drain({ kind: target.kind, name: target.name, ...(for_s === null ? {} : { for_s }), force });
      toast(`${target.name} is out; its running requests end by themselves`);
      onChanged();
      onClose();
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`Take ${target.kind === 'region' ? 'region ' : ''}${target.name} out?`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind={needsForce ? 'danger' : 'primary'} busy={busy} disabled={needsForce && !force} onClick={() => void begin()}>
            Take out
          </Button>
        </>
      }
    >
      <p>
        No new requests go there; those that run end by themselves. It is of this gateway only, and ends with a restart of the gateway.
        Azure’s inactivity clock runs on.
      </p>
      <ul class="drain-pools">
        {takeOver(deployments, out).map(({ pool, others }) => (
          <li key={pool}>
            <b>{pool}</b>:{' '}
            {others.length > 0 ? `${others.join(', ')} ${others.length === 1 ? 'takes' : 'take'} over` : 'nobody usable is left'}
          </li>
        ))}
      </ul>
      <Field id="drain-lasts" label="For how long">
        <select id="drain-lasts" value={lasts} onChange={(event) => setLasts(Number(event.currentTarget.value))}>
          {LASTS.map(({ label }, n) => (
            <option key={label} value={n}>
              {label}
            </option>
          ))}
        </select>
      </Field>
      {refusal !== null && (
        <Note tone="error">
          <Words text={refusal} />
        </Note>
      )}
      {needsForce && (
        <label class="check">
          <input type="checkbox" checked={force} onChange={(event) => setForce(event.currentTarget.checked)} />
          <span>
            Take it out all the same
            {pools.length > 0 ? `: clients of ${pools.join(', ')} then get 503 (pool_drained)` : ''}
          </span>
        </label>
      )}
    </Dialog>
  );
}
