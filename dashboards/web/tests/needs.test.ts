/** What needs a person, from the gateway's status. */
import { expect, test } from 'vitest';
import { felt, needs } from '../src/needs';
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

test('what clients feel comes first, whatever is broken', () => {
  const minute = { requests: 200, errors: 0, failovers: 0, ttft_p95_ms: 80, total_p95_ms: 400 };
  const check = (change: Partial<typeof minute>, tone: string, words: RegExp): void => {
    const told = felt({ ...minute, ...change });
    expect(told.tone).toBe(tone);
    expect(told.text).toMatch(words);
  };
  check({ requests: 0 }, 'quiet', /^No requests in the last minute/);
  check({}, 'ok', /200 requests in the last minute, none failed; first token p95 80.ms\.$/);
  check({ failovers: 13 }, 'ok', /none failed, 13 went on elsewhere/);
  check({ errors: 1 }, 'warn', /1 of 200 requests failed in the last minute \(0\.5.%\)/);
  check({ errors: 20 }, 'error', /20 of 200 requests failed/);
});

test('without streams the whole request is told', () => {
  const { text } = felt({ requests: 1, errors: 0, failovers: 0, ttft_p95_ms: null, total_p95_ms: 400 });
  expect(text).toContain('whole request p95 400');
  expect(felt({ requests: 1, errors: 1, failovers: 0, ttft_p95_ms: null, total_p95_ms: null }).text).not.toContain('p95');
});
