/** The address holds section, range and filters, and gives them back. */
import { expect, test } from 'vitest';
import { fixedRange, formatPlace, parsePlace, patched, rangeOf, scopeOf, sharedParams } from '../src/state/url';

test('a place survives being written and read', () => {
  const place = { section: 'latency', params: { range: '6h', deployment: 'sim-eastus2/support', of: 'ttft' } };
  expect(parsePlace(formatPlace(place))).toEqual(place);
});

test('odd addresses are places too', () => {
  expect(parsePlace('')).toEqual({ section: '', params: {} });
  expect(parsePlace('#')).toEqual({ section: '', params: {} });
  expect(parsePlace('#/events/12?kind=drain')).toEqual({ section: 'events', params: { kind: 'drain' } });
  expect(formatPlace({ section: 'events', params: { kind: '' } })).toBe('#/events');
});

test('a range that is not known, or ends before it begins, is not taken', () => {
  expect(rangeOf({ range: 'toString' }, '1h')).toBe('1h');
  expect(rangeOf({ range: '7d' }, '1h')).toBe('7d');
  expect(fixedRange({ from: '5', to: '4' })).toBeNull();
  expect(fixedRange({ from: '5' })).toBeNull();
  expect(fixedRange({ from: '5', to: '9' })).toEqual({ from_ms: 5, to_ms: 9 });
});

test('the scope follows the present unless a stretch is fixed', () => {
  expect(scopeOf({ range: '15m', client: 'a' }, '1h', 1_000_000)).toEqual({ from_ms: 100_000, to_ms: 1_000_000, client: 'a' });
  expect(scopeOf({ from: '5', to: '9', range: '15m' }, '1h', 1_000_000)).toEqual({ from_ms: 5, to_ms: 9 });
});

test('range and filters go along to other sections, the rest stays', () => {
  expect(sharedParams({ range: '6h', from: '1', to: '2', route: 'r', of: 'ttft' })).toEqual({
    range: '6h',
    from: '1',
    to: '2',
    route: 'r',
  });
});

test('an empty value takes a parameter out', () => {
  expect(patched({ a: '1', b: '2' }, { a: '', c: '3' })).toEqual({ b: '2', c: '3' });
});
