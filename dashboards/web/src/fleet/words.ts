/** What a deployment's state is called, how urgent it is, and what taking it out would do. Pure: the clock is an argument. */
import { ago, clock, span } from '../format';
import type { Drains, FleetDeployment } from '../types/state';
import type { Tone } from '../ui/basics';

export interface State {
  tone: Tone;
  word: string;
  /** More of it, where there is more to say. */
  detail: string | null;
}

/** The one state that matters most now. */
export function stateOf(deployment: FleetDeployment, now_ms: number): State {
  const { absent, alarm, drained, drained_until_ms, breaker, cooling_until_ms } = deployment;
  if (absent) return { tone: 'error', word: 'not there', detail: absent.replaceAll('_', ' ') };
  if (drained)
    return { tone: 'quiet', word: 'taken out', detail: drained_until_ms === null ? 'until put back' : `until ${clock(drained_until_ms)}` };
  if (breaker === 'open') return { tone: 'error', word: 'ejected', detail: 'breaker open' };
  if (alarm) return { tone: 'error', word: 'needs somebody', detail: alarm.kind.replaceAll('_', ' ') };
  if (breaker === 'half_open') return { tone: 'warn', word: 'on trial', detail: 'breaker half open' };
  if (cooling_until_ms !== null && cooling_until_ms > now_ms)
    return { tone: 'warn', word: 'resting', detail: `after a 429, ${ago(cooling_until_ms, now_ms)}` };
  return (deployment.recent?.requests ?? 0) > 0 || deployment.in_flight > 0
    ? { tone: 'ok', word: 'serving', detail: null }
    : { tone: 'ok', word: 'ready', detail: deployment.recent ? 'no requests lately' : null };
}

/** Whether it can get requests. */
export const isUsable = (deployment: FleetDeployment): boolean =>
  !deployment.absent && !deployment.drained && deployment.breaker !== 'open';

/** How full it is: `null` where nobody knows its limit. */
export function roomOf(deployment: FleetDeployment): { left: number; tone: Tone } | null {
  if (deployment.limit_used === null) return null;
  const left = Math.min(Math.max(1 - deployment.limit_used, 0), 1);
  return { left, tone: left < 0.05 ? 'error' : left < 0.3 ? 'warn' : 'info' };
}

export interface Idle {
  text: string;
  /** What will be done about it, and when. */
  next: string | null;
  deletion_at_ms: number | null;
  isExact: boolean;
  tone: Tone;
}

const ACTIONS: Record<string, string> = {
  steer: 'a request is steered there',
  call: 'the gateway calls it',
  delete: 'it is deleted by its policy',
  rebuild: 'it is made again',
  let_go: 'it is let go',
};

/** The inactivity clock; `null` where Azure does not delete it. */
export function idleOf(deployment: FleetDeployment, now_ms: number): Idle | null {
  const care = deployment.care ?? null;
  const deletion_at_ms = care?.deletion_at ? Date.parse(care.deletion_at) : deployment.deletion_at_ms;
  const idle_ms =
    care?.idle_s != null ? care.idle_s * 1000 : deployment.last_success_at_ms === null ? null : now_ms - deployment.last_success_at_ms;
  if (deletion_at_ms === null && idle_ms === null) return null;
  const tone: Tone =
    ({ none: 'quiet', soon: 'warn', urgent: 'error', overdue: 'error' }[care?.urgency ?? 'none'] as Tone | undefined) ?? 'quiet';
  const next = care?.next ? `${ACTIONS[care.next.action] ?? care.next.action} ${ago(Date.parse(care.next.at), now_ms)}` : null;
  return {
    text: idle_ms === null ? 'never called' : idle_ms < 60_000 ? 'in use' : `idle ${span(idle_ms)}`,
    next,
    deletion_at_ms,
    isExact: care?.deletion_is_exact ?? true,
    tone,
  };
}

/** Pools that would have nobody usable without these deployments. */
export function emptied(all: readonly FleetDeployment[], out: readonly string[]): string[] {
  const pools = new Set(all.filter(({ name }) => out.includes(name)).flatMap(({ pools }) => pools));
  return [...pools].filter((pool) => !all.some((other) => other.pools.includes(pool) && !out.includes(other.name) && isUsable(other)));
}

/** Who takes over, by pool: the usable others. */
export function takeOver(all: readonly FleetDeployment[], out: readonly string[]): { pool: string; others: string[] }[] {
  const pools = new Set(all.filter(({ name }) => out.includes(name)).flatMap(({ pools }) => pools));
  return [...pools].map((pool) => ({
    pool,
    others: all.filter((other) => other.pools.includes(pool) && !out.includes(other.name) && isUsable(other)).map(({ name }) => name),
  }));
}

/** What of the drains takes a deployment out: its own first, else that of its resource or region. */
export function drainOf(deployment: FleetDeployment, drains: Drains['drains']): { kind: string; name: string } {
  const own = { kind: 'deployment', name: deployment.name };
  const all = [own, { kind: 'resource', name: deployment.resource }, { kind: 'region', name: deployment.region }];
  return all.find(({ kind, name }) => drains.some((drain) => drain.kind === kind && drain.name === name)) ?? own;
}
