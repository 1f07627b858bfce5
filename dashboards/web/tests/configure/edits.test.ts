/** Edits of the text: what must change changes, and every comment and every other line stays. */
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { at, parse } from '../../src/configure/document';
import { flowText } from '../../src/configure/flow-text';
import { edited, insertAt, moveAt, removeAt, setAt } from '../../src/configure/edits';

const demo = readFileSync(new URL('../../../../config/demo.yaml', import.meta.url), 'utf8');
const annotated = readFileSync(new URL('../../../../config/emberway.yaml', import.meta.url), 'utf8');

/** The lines of `one` that are not in `other`. */
const gone = (one: string, other: string): string[] => {
  const left = other.split('\n');
  return one.split('\n').filter((line) => {
    const found = left.indexOf(line);
    if (found >= 0) left.splice(found, 1);
    return found < 0;
  });
};

describe('an edit changes its own lines only', () => {
  const cases: [string, string, (text: string) => string | null, string[], string[]][] = [
    [
      'a scalar in a flow map',
      demo,
      (text) => setAt(text, ['resources', 1, 'deployments', 0, 'capacity'], 750),
      ['      - { name: support, sku: Standard, capacity: 500, price: { input: 0.40, cached_input: 0.10, output: 1.60, hour: 1.70 } }'],
      ['      - { name: support, sku: Standard, capacity: 750, price: { input: 0.40, cached_input: 0.10, output: 1.60, hour: 1.70 } }'],
    ],
    [
      'a new member of a flow map',
      demo,
      (text) => setAt(text, ['health', 'max_ejected'], 0.5),
      ['health: { open_for: 3s, slow_start: 1s }'],
      ['health: { open_for: 3s, slow_start: 1s, max_ejected: 0.5 }'],
    ],
    ['a new member of a block map', demo, (text) => setAt(text, ['routes', 0, 'policy'], 'latency'), [], ['    policy: latency']],
    [
      'maps on the way',
      demo,
      (text) => setAt(text, ['routes', 0, 'failover', 'hedging', 'max_share'], 0.05),
      [],
      ['    failover: { hedging: { max_share: 0.05 } }'],
    ],
    [
      'a new section',
      demo,
      (text) => setAt(text, ['defaults', 'waiting', 'max_wait'], '8s'),
      [],
      ['', 'defaults: { waiting: { max_wait: 8s } }'],
    ],
    [
      'a member taken away',
      demo,
      (text) => removeAt(text, ['health', 'slow_start']),
      ['health: { open_for: 3s, slow_start: 1s }'],
      ['health: { open_for: 3s }'],
    ],
    ['a block member taken away', annotated, (text) => removeAt(text, ['limits', 'body_time']), ['  body_time: 60s'], []],
    [
      'the only member goes with its map',
      annotated,
      (text) => removeAt(text, ['routes', 0, 'timeouts', 'first_byte']),
      ['    timeouts: { first_byte: 20s }'],
      [],
    ],
    [
      'an item into a flow list',
      demo,
      (text) => insertAt(text, ['pools', 0, 'tiers', 0], 1, 'sim-eastus2/support'),
      ['      - [sim-swedencentral/support-ptu]                   # reserved throughput first'],
      ['      - [sim-swedencentral/support-ptu, sim-eastus2/support]                   # reserved throughput first'],
    ],
    [
      'an item into a block list',
      demo,
      (text) => insertAt(text, ['routes'], 2, { name: 'trial', pool: 'summary' }),
      [],
      ['', '  - name: trial', '    pool: summary'],
    ],
    [
      'an item out of a flow list',
      demo,
      (text) => removeAt(text, ['pools', 0, 'tiers', 1, 0]),
      ['      - [sim-eastus2/support, sim-northcentralus/support] # then pay per token, shared by capacity'],
      ['      - [sim-northcentralus/support] # then pay per token, shared by capacity'],
    ],
    [
      'a secret keeps its quotes',
      demo,
      (text) => setAt(text, ['clients', 0, 'debug_headers'], false),
      ['    debug_headers: true'],
      ['    debug_headers: false'],
    ],
    ['a tier moves with its comment', demo, (text) => moveAt(text, ['pools', 0, 'tiers'], 0, 1), [], []],
  ];
  it.each(cases)('%s', (_, text, edit, removed, added) => {
    const now = edit(text);
    expect(now).not.toBeNull();
    expect(now).not.toBe(text);
    expect(gone(text, now ?? '').sort()).toEqual(removed.sort());
    expect(gone(now ?? '', text).sort()).toEqual(added.sort());
  });
});

it('moves a tier with what is written beside it', () => {
  const now = moveAt(demo, ['pools', 0, 'tiers'], 0, 1) ?? '';
  expect(at(parse(now).values ?? undefined, ['pools', 0, 'tiers', 1])).toEqual(['sim-swedencentral/support-ptu']);
  expect(now).toContain('- [sim-swedencentral/support-ptu]                   # reserved throughput first');
});

it('moves a block item with the comment above it', () => {
  const text = 'list:\n  # one\n  - a\n  # two\n  - b\n';
  expect(moveAt(text, ['list'], 1, 0)).toBe('list:\n  # two\n  - b\n  # one\n  - a\n');
});

it('keeps comments where the layout forces it to write the document anew', () => {
  const now = setAt('# top\nroutes: &all\n  # inner\n  - name: a\nempty:\n', ['empty', 'x'], 1) ?? '';
  expect(parse(now).values).toEqual({ routes: [{ name: 'a' }], empty: { x: 1 } });
  expect(now).toContain('# top');
  expect(now).toContain('# inner');
});

it('quotes what would else be read as something else', () => {
  for (const value of ['yes', '12', '1e3', 'a: b', '', '${env:KEY}', '#x', 'a b', '007', '-']) {
    const now = setAt('a: { b: x }\n', ['a', 'b'], value) ?? '';
    expect(at(parse(now).values ?? undefined, ['a', 'b'])).toBe(value);
  }
});

it('writes text that could be read as something else in quotes, and the rest plainly', () => {
  expect(['yes', '12', '1e3', 'null', '~', 'a b', ''].map(flowText)).toEqual(['"yes"', '"12"', '"1e3"', '"null"', '"~"', '"a b"', '""']);
  expect(flowText({ deployment: 'a/b', weight: 3, models: ['gpt-4.1', '5m'] })).toBe(
    '{ deployment: a/b, weight: 3, models: [gpt-4.1, 5m] }',
  );
});

it('refuses to edit what it cannot read, and leaves a text alone that says the same already', () => {
  expect(setAt('a: [', ['a'], 1)).toBeNull();
  expect(setAt('a: 1 # one\n', ['a'], 1)).toBe('a: 1 # one\n');
});

it('makes several edits in turn, or none', () => {
  expect(edited('a: 1\n', [(text) => setAt(text, ['a'], 2), (text) => setAt(text, ['b'], 3)])).toBe('a: 2\n\nb: 3\n');
  expect(edited('a: 1\n', [(text) => setAt(text, ['a'], 2), () => null])).toBeNull();
});
