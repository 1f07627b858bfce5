/** What needs a person now, in words and in order of urgency. Pure: the gateway's status in, a list out. */
import { ago, count, duration, percent, plural } from './format';
import { errorShare } from './figures';
import type { Figures } from './types/reading';
import type { DeploymentStatus, PoolStatus, Status } from './types/state';

export interface Need {
  id: string;
  tone: 'error' | 'warn' | 'info';
  text: string;
  /** What to do, where the gateway knows it. */
  advice: string | null;
  /** The section that shows more. */
  section: string;
}

/** A deletion further off than this does not need anybody yet: the gateway keeps deployments alive by itself. */
const DELETION_SOON_MS = 3 * 86_400_000;
const DELETION_NEAR_MS = 86_400_000;
/** A deployment whose limit is used beyond this share is about to be throttled. */
const LIMIT_NEAR = 0.95;

/** Why a deployment cannot be used, by Azure's word for it. */
const ABSENT: Readonly<Record<string, string>> = {
  missing: 'does not exist at Azure',
  provisioning: 'is being made',
  failed: 'could not be made: Azure failed',
  deleting: 'is being deleted',
  paused: 'is paused at Azure',
  disabled: 'is disabled by Azure',
  ending: 'ends soon, and others carry its load',
  retired: 'has a model that is retired',
};
/** These mend themselves. */
const COMING: ReadonlySet<string> = new Set(['provisioning', 'ending']);

/** What clients notice of it all. */
export interface Felt {
  tone: 'ok' | 'warn' | 'error' | 'quiet';
  text: string;
}

/** Failures beyond this part of the requests are no accident of one. */
const FELT_SHARE = 0.01;

/** The last minute as clients see it: whether they are served, which what is broken does not tell. */
export function felt(minute: Pick<Figures, 'requests' | 'errors' | 'failovers' | 'ttft_p95_ms' | 'total_p95_ms'>): Felt {
  const { requests, errors, failovers } = minute;
  if (requests === 0) return { tone: 'quiet', text: 'No requests in the last minute.' };
  const rescued = failovers > 0 ? `, ${count(failovers)} went on elsewhere` : '';
  const p95 = minute.ttft_p95_ms ?? minute.total_p95_ms;
  const took = p95 === null ? '' : `; ${minute.ttft_p95_ms === null ? 'whole request' : 'first token'} p95 ${duration(p95)}`;
  if (errors === 0)
    return { tone: 'ok', text: `Clients are served: ${plural(requests, 'request')} in the last minute, none failed${rescued}${took}.` };
  const part = errorShare(minute);
  return {
    tone: (part ?? 0) > FELT_SHARE ? 'error' : 'warn',
    text: `Clients see errors: ${count(errors)} of ${plural(requests, 'request')} failed in the last minute (${percent(part)})${rescued}${took}.`,
  };
}

const ORDER: Record<Need['tone'], number> = { error: 0, warn: 1, info: 2 };

export function needs(status: Status, now_ms: number): Need[] {
  const found = [...ofGateway(status), ...status.pools.flatMap(ofPool), ...status.deployments.flatMap((one) => ofDeployment(one, now_ms))];
  return found.sort((a, b) => ORDER[a.tone] - ORDER[b.tone]);
}

function ofGateway({ ready, draining, config }: Status): Need[] {
  const found: Need[] = [];
  if (config.last_error !== null) {
    const advice = 'the gateway runs on with the last good one; mend the file and it is read again';
    found.push({ id: 'config', tone: 'error', text: `The configuration was refused: ${config.last_error}`, advice, section: 'configure' });
  }
  if (draining)
    found.push({
      id: 'draining',
      tone: 'warn',
      text: 'The gateway is going down: it takes no new requests.',
      advice: null,
      section: 'events',
    });
  else if (!ready)
    found.push({ id: 'ready', tone: 'error', text: 'The gateway is not ready for traffic.', advice: null, section: 'events' });
  return found;
}

function ofPool(pool: PoolStatus): Need[] {
  if (pool.deployments === 0 || pool.usable > 0) return [];
  const text = `No deployment of pool ${pool.name} can be used: its requests fail.`;
  return [{ id: `pool ${pool.name}`, tone: 'error', text, advice: null, section: 'fleet' }];
}

function ofDeployment(one: DeploymentStatus, now_ms: number): Need[] {
  const found: Need[] = [];
  const add = (what: string, tone: Need['tone'], text: string, advice: string | null = null): void => {
    found.push({ id: `${what} ${one.name}`, tone, text, advice, section: 'fleet' });
  };
  if (one.alarm !== null) add('alarm', 'error', `${one.name}: ${one.alarm.kind.replaceAll('_', ' ')}.`, one.alarm.advice);
  else if (one.absent !== null)
    add('absent', COMING.has(one.absent) ? 'info' : 'error', `${one.name} ${ABSENT[one.absent] ?? `is not there: ${one.absent}`}.`);
  if (one.breaker === 'open') add('breaker', 'error', `${one.name} is set aside: it failed again and again.`);
  else if (one.breaker === 'half_open') add('breaker', 'warn', `${one.name} is being tried again after failures.`);
  if (one.cooling_until_ms !== null && one.cooling_until_ms > now_ms) {
    add('cooling', 'warn', `${one.name} is throttled and rests, free ${ago(one.cooling_until_ms, now_ms)}.`);
  } else if (one.limit_used !== null && one.limit_used >= LIMIT_NEAR) {
    add('limit', 'warn', `${one.name} has used ${count(Math.round(one.limit_used * 100))} % of its token limit.`);
  }
  if (one.deletion_at_ms !== null && one.deletion_at_ms - now_ms < DELETION_SOON_MS) {
    const tone = one.deletion_at_ms - now_ms < DELETION_NEAR_MS ? 'error' : 'warn';
    add(
      'deletion',
      tone,
      `Azure deletes ${one.name} ${ago(one.deletion_at_ms, now_ms)} unless it is used.`,
      'ping it, or let the gateway keep it alive',
    );
  }
  if (one.drained) {
    const until = one.drained_until_ms === null ? '' : `, back ${ago(one.drained_until_ms, now_ms)}`;
    add('drained', 'info', `${one.name} is drained by hand${until}.`);
  }
  return found;
}
