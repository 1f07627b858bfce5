/** What needs a person, from the gateway's status. */
import { expect, test } from 'vitest';
import { needs } from '../src/needs';
import type { DeploymentStatus, Status } from '../src/types/state';

const NOW_MS = 1_000_000_000;
const DAY_MS = 86_400_000;

const ALARM = { kind: 'deployment_missing', advice: 'create it', wants_reconciliation: true };

const GOOD: DeploymentStatus = {
  name: 'east/a',
  region: 'east',
  in_flight: 0,
  breaker: 'closed',
  alarm: null,
  limit_tokens_per_minute: null,
  limit_used: 0.5,
  cache_life_s: 300,
  cooling_until_ms: null,
  drained: false,
  drained_until_ms: null,
  absent: null,
  last_success_at_ms: null,
  deletion_at_ms: null,
  last_failure: null,
};

function status(change: Partial<DeploymentStatus>, more: Partial<Status> = {}): Status {
  return {
    at_ms: NOW_MS,
    started_at_ms: 0,
    ready: true,
    draining: false,
    version: '0',
    requests_running: 0,
    config: { generation: 1, loaded_at_ms: 0, last_error: null },
    pools: [],
    deployments: [{ ...GOOD, ...change }],
    ...more,
  };
}

const found = (from: Status): [string, string][] => needs(from, NOW_MS).map(({ id, tone }) => [id, tone]);

test('a gateway that is well needs nobody', () => {
  expect(found(status({}))).toEqual([]);
});

test('each trouble of a deployment is told with its urgency', () => {
  const cases: [Partial<DeploymentStatus>, [string, string][]][] = [
    [{ breaker: 'open' }, [['breaker east/a', 'error']]],
    [{ breaker: 'half_open' }, [['breaker east/a', 'warn']]],
    [{ absent: 'missing' }, [['absent east/a', 'error']]],
    [{ absent: 'provisioning' }, [['absent east/a', 'info']]],
    [{ absent: 'missing', alarm: ALARM }, [['alarm east/a', 'error']]],
    [{ cooling_until_ms: NOW_MS + 5 }, [['cooling east/a', 'warn']]],
    [{ cooling_until_ms: NOW_MS - 5 }, []],
    [{ limit_used: 0.96 }, [['limit east/a', 'warn']]],
    [{ deletion_at_ms: NOW_MS + DAY_MS / 2 }, [['deletion east/a', 'error']]],
    [{ deletion_at_ms: NOW_MS + 2 * DAY_MS }, [['deletion east/a', 'warn']]],
    [{ deletion_at_ms: NOW_MS + 4 * DAY_MS }, []],
    [{ drained: true }, [['drained east/a', 'info']]],
  ];
  for (const [change, wanted] of cases) expect(found(status(change)), JSON.stringify(change)).toEqual(wanted);
});

test('the worst comes first, and a refused configuration is among the worst', () => {
  const config = { generation: 1, loaded_at_ms: 0, last_error: 'unknown pool' };
  const pools = [{ name: 'p', deployments: 2, usable: 0, regions: [], sent_tokens: 0, limit_without: {}, headroom: {} }];
  expect(found(status({ drained: true }, { config, pools }))).toEqual([
    ['config', 'error'],
    ['pool p', 'error'],
    ['drained east/a', 'info'],
  ]);
});

test('an urgent deployment stands before one that is not', () => {
  const deployments = [
    { ...GOOD, drained: true },
    { ...GOOD, name: 'west/b', breaker: 'open' },
  ];
  expect(found(status({}, { deployments }))).toEqual([
    ['breaker west/b', 'error'],
    ['drained east/a', 'info'],
  ]);
});

test('a gateway that goes down is not also called not ready', () => {
  expect(found(status({}, { ready: false, draining: true }))).toEqual([['draining', 'warn']]);
  expect(found(status({}, { ready: false }))).toEqual([['ready', 'error']]);
});
