/** Where a cursor stands, and what is offered there; the text may be half written. `|` is the cursor. */
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { meaning, suggestions } from '../../src/configure/completion';
import { parse } from '../../src/configure/document';
import { placeAt } from '../../src/configure/place';
import { objection, schemaAt } from '../../src/configure/schema';
import type { Schema } from '../../src/configure/schema';

const file = (name: string): string => readFileSync(new URL(`../../../../config/${name}`, import.meta.url), 'utf8');
const schema = JSON.parse(file('emberway.schema.json')) as Schema;
const demo = file('demo.yaml');

const placed = (marked: string): ReturnType<typeof placeAt> => placeAt(marked.replace('|', ''), marked.indexOf('|'));

describe('the place of a cursor', () => {
  const cases: [string, string, string, string][] = [
    ['|', 'key', '', ''],
    ['rou|', 'key', '', 'rou'],
    ['health:\n  |', 'key', 'health', ''],
    ['health:\n  open_for: 3s\n  sl|', 'key', 'health', 'sl'],
    ['health: { open_for: 3s, sl|', 'key', 'health', 'sl'],
    ['health: { open_for: |', 'value', 'health.open_for', ''],
    ['health:\n  open_for: 3|', 'value', 'health.open_for', '3'],
    ['routes:\n  - name: a\n    |', 'key', 'routes.0', ''],
    ['routes:\n  - name: a\n\n  - name: b\n    po|', 'key', 'routes.1', 'po'],
    ['routes:\n- name: a\n- |', 'value', 'routes.1', ''],
    ['routes:\n  - name: a\n    pool: |', 'value', 'routes.0.pool', ''],
    ['routes:\n  - name: a\n    failover:\n      hedging: { |', 'key', 'routes.0.failover.hedging', ''],
    ['pools:\n  - name: a\n    tiers:\n      - [x/y, |', 'value', 'pools.0.tiers.0.1', ''],
    ['pools:\n  - name: a\n    tiers:\n      - [x/y]\n      - - { deployment: a/b, |', 'key', 'pools.0.tiers.1.0', ''],
    ['resources:\n  - name: "a: b" # c\n    region: |', 'value', 'resources.0.region', ''],
    ['limits:\n  body_size: 1MiB\nhealth:\n  open_for: 3s\nlog|', 'key', '', 'log'],
    ['clients:\n  - keys: ["${env:A}", |', 'value', 'clients.0.keys.1', ''],
    ['health: {\n  open_for: 3s,\n  |', 'key', 'health', ''],
  ];
  it.each(cases)('%j', (text, kind, path, typed) => {
    const place = placed(text);
    expect([place?.kind, place?.path.join('.'), place?.typed]).toEqual([kind, path, typed]);
  });
  it('is none in a comment', () => expect(placed('health: # a |')).toBeNull());
  it('is found in every line of the demo', () => {
    for (let at = 0; at <= demo.length; at++) {
      const place = placeAt(demo, at);
      if (place) expect(schemaAt(schema, place.path), `at ${at}: ${place.path.join('.')}`).not.toBeNull();
    }
  });
});

describe('what is offered', () => {
  const offered = (marked: string): string[] => {
    const place = placed(marked);
    return place ? suggestions(schema, place, parse(demo).values ?? undefined).map(({ label }) => label) : [];
  };
  it('members that are not there yet', () => {
    const labels = offered('health:\n  |');
    expect(labels).toContain('max_ejected');
    expect(labels).not.toContain('open_for');
  });
  it('words with what they mean', () => {
    expect(offered('defaults:\n  policy: |')).toEqual(['nested', 'round_robin', 'least_busy', 'head_hash', 'latency']);
    expect(offered('clients:\n  - debug_headers: |')).toEqual(['true', 'false']);
  });
  it('names of this document', () => {
    expect(offered('routes:\n  - pool: |').slice(0, 2)).toEqual(['support', 'summary']);
    expect(offered('pools:\n  - tiers: [[|')).toContain('sim-eastus2/support');
  });
  it('members of an item that has begun', () => expect(offered('routes:\n  - |')).toContain('waiting'));
  it('the default first, then examples', () => expect(offered('health:\n  open_for: |').slice(0, 2)).toEqual(['10s', '250ms']));
});

it('says what a place means', () => {
  expect(meaning(schema, ['health', 'open_for'])?.title).toBe('health.open_for: duration, 10s by default');
  expect(meaning(schema, ['routes', 0, 'policy'])?.text).toContain('latency: Of two deployments');
  expect(meaning(schema, ['nothing'])).toBeNull();
});

describe('what is typed into a form', () => {
  const cases: [string, string, boolean][] = [
    ['health.open_for', '3s', true],
    ['health.open_for', '3', false],
    ['health.failure_ratio', '0.5', true],
    ['health.failure_ratio', '0', false],
    ['health.consecutive_failures', '2.5', false],
    ['health.consecutive_failures', '', false],
    ['defaults.policy', 'nested', true],
    ['defaults.policy', 'nearest', false],
    ['limits.body_size', '32MiB', true],
    ['limits.body_size', '32', false],
  ];
  it.each(cases)('%s: %s', (path, typed, fits) => {
    const there = schemaAt(schema, path.split('.'));
    expect(there && objection(there, typed) === null).toBe(fits);
  });
});
