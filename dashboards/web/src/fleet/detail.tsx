/** What a row opens to: all that is known of a deployment in sentences, and what can be done about it. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import * as api from '../api';
import { errorShare } from '../figures';
import { NONE, ago, duration, moment, percent, plural, span, usd, utc } from '../format';
import { outcomeWords } from '../routing/words';
import { now_ms } from '../state/clock';
import { may } from '../state/session';
import type { FleetDeployment } from '../types/state';
import { Button, Note } from '../ui/basics';
import { confirm } from '../ui/dialog';
import { toast } from '../ui/toast';
import { Words } from '../ui/words';
import { idleOf } from './words';

interface DetailProps {
  deployment: FleetDeployment;
  /** What was taken out, where it is: the deployment, its resource or its region. */
  drain: { kind: string; name: string };
  onDrain: () => void;
  onChanged: () => void;
}

export function Detail({ deployment, drain, onDrain, onChanged }: DetailProps) {
  const { alarm, care, recent, last_failure } = deployment;
  const idle = idleOf(deployment, now_ms.value);
  return (
    <div class="fleet-detail">
      {alarm && (
        <Note tone="error">
          <Words text={alarm.advice} />
        </Note>
      )}
      <dl class="facts">
        {deployment.pools.map((pool) => (
          <Fact key={pool} name={`Pool ${pool}`}>
            tier {(deployment.tiers[pool] ?? 0) + 1}
          </Fact>
        ))}
        <Fact name="Last success">{deployment.last_success_at_ms === null ? 'none known' : <At ms={deployment.last_success_at_ms} />}</Fact>
        <Fact name="Last failure">
          {last_failure === null ? (
            'none since the start'
          ) : (
            <>
              {outcomeWords(last_failure.outcome)}
              {last_failure.status ? ` (${last_failure.status})` : ''}, <At ms={last_failure.at_ms ?? Date.parse(last_failure.at)} />
            </>
          )}
        </Fact>
        <Fact name="Last 15 minutes">
          {recent
            ? `${plural(recent.requests, 'request')}, ${percent(errorShare(recent))} failed, ${usd(recent.token_usd)} for tokens`
            : NONE}
        </Fact>
        <Fact name="Its cache">
          {deployment.cache_life_s > 0
            ? `keeps what nobody asks for some ${span(deployment.cache_life_s * 1000)}`
            : 'is believed not to keep anything'}
        </Fact>
        {idle?.deletion_at_ms != null && (
          <Fact name="Deletion">
            {idle.isExact ? 'on' : 'by'} <At ms={idle.deletion_at_ms} />
            {care?.policy ? `; policy ${care.policy}` : '; nothing is done about it, since the fleet is not looked after'}
            {idle.next ? `: ${idle.next}` : ''}
            {care?.next?.usd != null ? `, for ${usd(care.next.usd)}` : ''}
          </Fact>
        )}
        {care?.end && (
          <Fact name="Ends by date">
            <At ms={Date.parse(care.end.at)} /> ({care.end.cause.replaceAll('_', ' ')})
          </Fact>
        )}
      </dl>
      {care?.sentence && <p class="muted">{care.sentence}</p>}
      <Actions deployment={deployment} drain={drain} onDrain={onDrain} onChanged={onChanged} />
    </div>
  );
}

function Actions({ deployment, drain, onDrain, onChanged }: DetailProps) {
  const [busy, setBusy] = useState<string | null>(null);
  const { name, actions } = deployment;
  const isOperator = may('operator');
  const run = async (what: string, act: () => Promise<string>): Promise<void> => {
    setBusy(what);
    try {
      toast(await act());
      onChanged();
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), 'error');
    } finally {
      setBusy(null);
    }
  };
  const putBack = (): Promise<void> =>
    run('drain', async () => {
      await api.undrain(drain.kind, drain.name);
      return `${drain.name} gets requests again`;
    });
  const ping = async (): Promise<void> => {
    const text = `One tiny completion is sent to ${name}, some 24 tokens, and entered in the books as a keepalive. It also starts the inactivity clock anew.`;
    if (!(await confirm({ title: `Ping ${name}?`, text, act: 'Ping' }))) return;
    await run('ping', async () => {
      const { outcome, took_ms, text } = await api.ping(name);
      if (outcome !== 'success') throw new Error(`${name}, after ${duration(took_ms)}: ${text}`);
      return `${name} answered in ${duration(took_ms)}: ${text}`;
    });
  };
  const recreate = async (): Promise<void> => {
    const text = `Azure is asked to make ${name} again as it is declared. It takes minutes, and hosting is billed from then on. Its requests go elsewhere meanwhile.`;
    if (!(await confirm({ title: `Make ${name} again?`, text, act: 'Make it again', danger: true, type: name }))) return;
    await run('recreate', async () => {
      await api.recreate(name, name);
      return `${name} is being made again`;
    });
  };
  const why = isOperator ? undefined : 'needs the role operator';
  return (
    <div class="fleet-actions">
      <div class="row">
        {deployment.drained ? (
          <Button small kind="primary" busy={busy === 'drain'} disabled={!isOperator} title={why} onClick={() => void putBack()}>
            {drain.kind === 'deployment' ? 'Put back' : `Put ${drain.kind} ${drain.name} back`}
          </Button>
        ) : (
          <Button small disabled={!isOperator || !actions.drain} title={why} onClick={onDrain}>
            Take out…
          </Button>
        )}
        <Button small busy={busy === 'ping'} disabled={!isOperator || !actions.ping} title={why} onClick={() => void ping()}>
          Ping…
        </Button>
        <Button small busy={busy === 'recreate'} disabled={!isOperator || !actions.recreate} title={why} onClick={() => void recreate()}>
          Make it again…
        </Button>
      </div>
      {!isOperator && <p class="muted small">You are a viewer: taking out, pinging and making again need the role operator.</p>}
      {isOperator && !actions.recreate && actions.recreate_reason && (
        <p class="muted small">
          It cannot be made again from here: <Words text={actions.recreate_reason} />
        </p>
      )}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function At({ ms }: { ms: number }) {
  return (
    <time dateTime={new Date(ms).toISOString()} title={utc(ms)}>
      {moment(ms)} ({ago(ms, now_ms.value)})
    </time>
  );
}
