/** States, room, clocks and the consequences of a drain, case by case. */
import { describe, expect, it } from 'vitest';

import type { Figures } from '../../src/types/reading';
import type { FleetDeployment } from '../../src/types/state';
import { drainOf, emptied, idleOf, isUsable, roomOf, stateOf, takeOver } from '../../src/fleet/words';

const NOW = 1_000_000_000_000;
const DAY_MS = 86_400_000;
const base = {
  name: 'east/support',
  resource: 'east',
  region: 'eastus2',
  pools: ['support'],
  breaker: 'closed',
  alarm: null,
  absent: null,
  drained: false,
  drained_until_ms: null,
  cooling_until_ms: null,
  in_flight: 0,
  limit_used: 0.4,
  last_success_at_ms: NOW - 5_000,
  deletion_at_ms: NOW + 15 * DAY_MS,
  recent: { requests: 10 },
  care: null,
} as unknown as FleetDeployment;
const made = (change: Partial<FleetDeployment>): FleetDeployment => ({ ...base, ...change });
const care = {
  policy: 'keep',
  state: 'there',
  idle_s: 11 * 86_400,
  deletion_at: new Date(NOW + 4 * DAY_MS).toISOString(),
  deletion_is_exact: false,
  urgency: 'soon',
  next: { action: 'call', at: new Date(NOW + 2.5 * DAY_MS).toISOString(), usd: 0.00003 },
  end: null,
  sentence: null,
};

describe('the state that matters most', () => {
  const cases: [Partial<FleetDeployment>, string, string][] = [
    [{}, 'ok', 'serving'],
    [{ recent: { ...base.recent, requests: 0 } as Figures }, 'ok', 'ready'],
    [{ breaker: 'open' }, 'error', 'ejected'],
    [{ breaker: 'half_open' }, 'warn', 'on trial'],
    [{ cooling_until_ms: NOW + 9_000 }, 'warn', 'resting'],
    [{ cooling_until_ms: NOW - 1 }, 'ok', 'serving'],
    [{ drained: true, breaker: 'open' }, 'quiet', 'taken out'],
    [{ absent: 'missing', drained: true }, 'error', 'not there'],
    [{ alarm: { kind: 'credential_refused', advice: '', wants_reconciliation: false } }, 'error', 'needs somebody'],
  ];
  it.each(cases)('%j', (change, tone, word) => expect(stateOf(made(change), NOW)).toMatchObject({ tone, word }));
});

it('tells how much room is left, and nothing where no limit is known', () => {
  expect(roomOf(base)).toEqual({ left: 0.6, tone: 'info' });
  expect(roomOf(made({ limit_used: 1.2 }))).toEqual({ left: 0, tone: 'error' });
  expect(roomOf(made({ limit_used: 0.8 }))?.tone).toBe('warn');
  expect(roomOf(made({ limit_used: null }))).toBeNull();
});

it('reads the inactivity clock', () => {
  expect(idleOf(base, NOW)).toMatchObject({ text: 'in use', deletion_at_ms: NOW + 15 * DAY_MS, next: null, isExact: true });
  const cared = idleOf(made({ care }), NOW);
  expect(cared).toMatchObject({ tone: 'warn', isExact: false, deletion_at_ms: NOW + 4 * DAY_MS });
  expect(cared?.next).toContain('the gateway calls it in');
  expect(idleOf(made({ deletion_at_ms: null, last_success_at_ms: null }), NOW)).toBeNull();
});

it('knows which pools a drain empties', () => {
  const west = made({ name: 'west/support', region: 'west' });
  expect(emptied([base, west], ['east/support'])).toEqual([]);
  expect(emptied([base, made({ ...west, breaker: 'open' })], ['east/support'])).toEqual(['support']);
  expect(emptied([base, west], ['east/support', 'west/support'])).toEqual(['support']);
  expect(takeOver([base, west], ['east/support'])).toEqual([{ pool: 'support', others: ['west/support'] }]);
  expect(isUsable(made({ absent: 'paused' }))).toBe(false);
});

it('finds what has to be put back', () => {
  const region = { kind: 'region', name: 'eastus2', left_s: null };
  const own = { kind: 'deployment', name: 'east/support', left_s: 60 };
  expect(drainOf(base, [region])).toEqual({ kind: 'region', name: 'eastus2' });
  expect(drainOf(base, [region, own])).toEqual({ kind: 'deployment', name: 'east/support' });
  expect(drainOf(base, [{ ...region, name: 'other' }])).toEqual({ kind: 'deployment', name: 'east/support' });
});
