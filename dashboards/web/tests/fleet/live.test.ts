/** What the live stream tells is laid over what was read; headroom is that of the pool that has the least. */
import { expect, it } from 'vitest';

import { leastHeadroom } from '../../src/fleet/headroom';
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
const tick = (name: string, at_ms: number): Tick =>
  ({
    at_ms,
    deployments: [{ name, breaker: 'open', in_flight: 7, limit_used: 0.9, drained: true, absent: 'paused', cooling_until_ms: 5 }],
  }) as unknown as Tick;

it('takes the newer state of a deployment, and keeps what only the reading tells', () => {
  expect(withTick([deployment], tick('a/b', 20), 10)[0]).toMatchObject({
    breaker: 'open',
    in_flight: 7,
    drained: true,
    absent: 'paused',
    sku: 'Standard',
  });
});

it('keeps the reading where it is newer, or the deployment is not told', () => {
  expect(withTick([deployment], tick('a/b', 5), 10)).toEqual([deployment]);
  expect(withTick([deployment], tick('x/y', 20), 10)).toEqual([deployment]);
  expect(withTick([deployment], null, 10)).toEqual([deployment]);
});

it('finds the pool that would be worst off', () => {
  expect(leastHeadroom({ headroom: { a: 2, b: 0.5 } } as unknown as FleetRegion)).toEqual({ pool: 'b', ratio: 0.5 });
  expect(leastHeadroom({ headroom: {} } as unknown as FleetRegion)).toBeNull();
});
