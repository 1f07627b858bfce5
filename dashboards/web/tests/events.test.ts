/** Events: choosing, grouping, and merging what comes twice. */
import { expect, test } from 'vitest';
import { byDay, folded, matches } from '../src/events';
import { appended, mergedEvents } from '../src/live';
import type { GatewayEvent } from '../src/types/reading';

function event(change: Partial<GatewayEvent>): GatewayEvent {
  return { id: 1, at_ms: 0, severity: 'info', kind: 'drain', subject: 'east', text: 'east is drained', advice: null, ...change };
}

const ALL = { kind: null, severity: null, text: '' };

test('a severity means at least that', () => {
  const shown = (severity: GatewayEvent['severity']): boolean => matches(event({ severity }), { ...ALL, severity: 'warn' });
  expect([shown('info'), shown('warn'), shown('error')]).toEqual([false, true, true]);
});

test('words are looked for in text, subject and advice, whatever their case', () => {
  const one = event({ subject: 'West/A', advice: 'wait' });
  expect(['west', ' WAIT ', 'drained', 'north'].map((text) => matches(one, { ...ALL, text }))).toEqual([true, true, true, false]);
});

test('a kind is that kind', () => {
  expect(matches(event({}), { ...ALL, kind: 'drain' })).toBe(true);
  expect(matches(event({}), { ...ALL, kind: 'store' })).toBe(false);
});

test('days of the viewer keep the order', () => {
  const noon = new Date(2026, 10, 26, 12).getTime();
  const days = byDay([event({ id: 3, at_ms: noon }), event({ id: 2, at_ms: noon - 1000 }), event({ id: 1, at_ms: noon - 86_400_000 })]);
  expect(days.map((group) => [group.day, group.events.map(({ id }) => id)])).toEqual([
    ['2026-11-26', [3, 2]],
    ['2026-11-25', [1]],
  ]);
});

test('merging takes each event once, the newest first, and lets the oldest go', () => {
  const known = [event({ id: 5 }), event({ id: 3 })];
  expect(mergedEvents(known, [event({ id: 4 }), event({ id: 5, text: 'again' })], 2).map(({ id, text }) => [id, text])).toEqual([
    [5, 'again'],
    [4, 'east is drained'],
  ]);
});

test('a list that is appended to for ever keeps its size', () => {
  let list: number[] = [];
  for (let i = 0; i < 1000; i += 1) list = appended(list, i, 3);
  expect(list).toEqual([997, 998, 999]);
});

test('two incidents of one breaker are two rows', () => {
  const of = (id: number, text: string): GatewayEvent => event({ id, at_ms: id * 1000, kind: 'breaker', subject: 'east', text });
  const rows = folded([
    of(6, 'gets none'),
    of(5, 'gets none'),
    of(4, 'works again'),
    of(3, 'gets none'),
    event({ id: 2, kind: 'process' }),
    of(1, 'gets none'),
  ]);
  expect(rows.map(({ event, like }) => [event.id, ...like.map(({ id }) => id)])).toEqual([[6, 5], [4], [3], [2], [1]]);
});

test('what repeats itself stands behind the newest of it', () => {
  const MINUTE_MS = 60_000;
  const hop = (id: number, at_ms: number, text: string): GatewayEvent => event({ id, at_ms, kind: 'failover', subject: 'bot', text });
  const rows = folded([
    hop(9, 30 * MINUTE_MS, 'bot: 2 requests went on from east2/a (429) to west/a'),
    event({ id: 8, at_ms: 29.9 * MINUTE_MS }),
    hop(7, 29.8 * MINUTE_MS, 'bot: one more request went on from east2/a (429) to west/a in the 10 minutes before'),
    event({ id: 6, at_ms: 29.7 * MINUTE_MS }),
    hop(5, 29.6 * MINUTE_MS, 'bot: 12 requests went on from east2/a (429) to west/a'),
    // Another deployment, another outcome, and a silence before it.
    hop(4, 29.5 * MINUTE_MS, 'bot: 12 requests went on from east3/a (429) to west/a'),
    hop(3, 29.4 * MINUTE_MS, 'bot: 12 requests went on from east2/a (503) to west/a'),
    hop(2, 19.5 * MINUTE_MS, 'bot: 12 requests went on from east2/a (429) to west/a'),
    hop(1, 19.4 * MINUTE_MS, 'bot: 3 requests went on from east2/a (429) to west/a'),
  ]);
  expect(rows.map(({ event, like }) => [event.id, ...like.map(({ id }) => id)])).toEqual([[9, 7, 5], [8], [6], [4], [3], [2, 1]]);
});
