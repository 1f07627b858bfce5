/** What the live stream tells is laid over what was read; headroom is that of the pool that has the least. */
import { expect, it } from 'vitest';

import { headroomWords, leastHeadroom } from '../../src/fleet/headroom';
import { withTick } from '../../src/fleet/live';
import type { FleetDeployment, FleetRegion, Tick } from '../../src/types/state';

const deployment = {
  name: 'a/b',
  in_flight: 1,
  breaker: 'closed',
  limit_used: 0.1,
  drained: false,
  absent: null,
  cooling_until_ms: null,
  sku: 'Standard',
} as FleetDeployment;
const tick = (name: string): Tick =>
  ({
    at_ms: 0,
    deployments: [{ name, breaker: 'open', in_flight: 7, limit_used: 0.9, drained: true, absent: 'paused', cooling_until_ms: 5 }],
  }) as unknown as Tick;

it('takes the newer state of a deployment, and keeps what only the reading tells', () => {
  expect(withTick([deployment], tick('a/b'), 20, 10)[0]).toMatchObject({
    breaker: 'open',
    in_flight: 7,
    drained: true,
    absent: 'paused',
    sku: 'Standard',
  });
});

it('keeps the reading where it is newer, or the deployment is not told', () => {
  expect(withTick([deployment], tick('a/b'), 5, 10)).toEqual([deployment]);
  expect(withTick([deployment], tick('x/y'), 20, 10)).toEqual([deployment]);
  expect(withTick([deployment], null, 20, 10)).toEqual([deployment]);
});

it('finds the pool that would be worst off', () => {
  expect(leastHeadroom({ headroom: { a: 2, b: 0.5 } } as unknown as FleetRegion)).toEqual({ pool: 'b', ratio: 0.5 });
  expect(leastHeadroom({ headroom: {} } as unknown as FleetRegion)).toBeNull();
});

it('says what the others could carry, and makes no figure of an idle pool', () => {
  expect(headroomWords({ pool: 'p', ratio: 0.5 })).toMatch(/carry 50.% of p$/);
  expect(headroomWords({ pool: 'p', ratio: 1.4 })).toBe('the others carry p 1.4 times over');
  expect(headroomWords({ pool: 'p', ratio: 0.999 }).replace(/\s/gu, ' ')).toBe('the others carry 99 % of p');
  expect(headroomWords({ pool: 'p', ratio: 0 })).toBe('nobody is left for p');
  expect(headroomWords({ pool: 'p', ratio: 250_000 })).toBe('the others carry it with ease');
});
