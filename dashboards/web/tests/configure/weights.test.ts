/** Shares and weights, and moves of traffic: what adds up to a whole does so afterwards too. */
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { items, parse } from '../../src/configure/document';
import { planMove } from '../../src/configure/move';
import type { Move, Wish } from '../../src/configure/move';
import { clearShares, declared, moveMember, removeMember, setShares, tiersOf } from '../../src/configure/tiers';
import { asWeights, shares, shifted, withShare } from '../../src/configure/weights';

const file = (name: string): string => readFileSync(new URL(`../../../../config/${name}`, import.meta.url), 'utf8');
const demo = file('demo.yaml');
const valuesOf = (text: string) => parse(text).values ?? undefined;
const sum = (parts: readonly number[]): number => parts.reduce((all, part) => all + part, 0);

describe('shares', () => {
  it('are parts of the whole', () => {
    expect(shares([1, 3])).toEqual([0.25, 0.75]);
    expect(shares([0, 0])).toEqual([0.5, 0.5]);
    expect(shares([])).toEqual([]);
  });
  it.each([
    [[0.5, 0.3, 0.2], 0, 0.8],
    [[0.5, 0.3, 0.2], 2, 0],
    [[1, 0], 0, 1],
    [[0.98, 0.01, 0.01], 0, 1],
    [[0.5, 0.49, 0.01], 0, 0.9],
    [[1], 0, 0.3],
  ] as const)('of %j with number %i at %d add up to one, none of them nothing', (before, index, share) => {
    const after = withShare(before, index, share);
    expect(sum(after)).toBeCloseTo(1, 9);
    expect(Math.min(...after)).toBeGreaterThanOrEqual(0.01 - 1e-9);
  });
  it('of the others keep their proportion', () => {
    const after = withShare([0.5, 0.3, 0.2], 0, 0.2);
    expect(after[1]! / after[2]!).toBeCloseTo(1.5, 9);
  });
  it.each([[[1, 1, 1]], [[0.335, 0.335, 0.33]], [[0.999, 0.001]], [Array.from({ length: 60 }, (_, n) => n + 1)]])(
    '%j become weights that add up to 100',
    (parts) => {
      const weights = asWeights(parts);
      expect(sum(weights)).toBe(100);
      expect(Math.min(...weights)).toBeGreaterThanOrEqual(1);
      expect(weights.every(Number.isInteger)).toBe(true);
    },
  );
  it('move from some to others', () => {
    const after = shifted([0.6, 0.3, 0.1], [0], [1, 2], 0.5);
    for (const [n, share] of [0.3, 0.525, 0.175].entries()) expect(after[n]).toBeCloseTo(share, 9);
  });
});

describe('tiers of the demo', () => {
  it('share by capacity', () => {
    expect(tiersOf(valuesOf(demo), 0)[1]?.map(({ share }) => share)).toEqual([0.5, 0.5]);
    expect(declared(valuesOf(demo)).map(({ name }) => name)).toContain('sim-eastus2/summary');
  });
  it('take weights, and give them up', () => {
    const members = tiersOf(valuesOf(demo), 0)[1] ?? [];
    const weighted = setShares(0, 1, members, [0.7, 0.3])(demo) ?? '';
    expect(weighted).toContain(
      '- [{ deployment: sim-eastus2/support, weight: 70 }, { deployment: sim-northcentralus/support, weight: 30 }] # then pay',
    );
    expect(clearShares(0, 1, members)(weighted)).toBe(demo);
  });
  it('are left by their members', () => {
    const moved = moveMember(valuesOf(demo), 0, 1, 0, 0)(demo) ?? '';
    expect(items(valuesOf(moved), ['pools', 0, 'tiers'])).toEqual([
      ['sim-swedencentral/support-ptu', 'sim-eastus2/support'],
      ['sim-northcentralus/support'],
    ]);
    const down = moveMember(valuesOf(demo), 0, 0, 0, 1)(demo) ?? '';
    expect(items(valuesOf(down), ['pools', 0, 'tiers'])).toEqual([
      ['sim-eastus2/support', 'sim-northcentralus/support', 'sim-swedencentral/support-ptu'],
    ]);
    const alone = moveMember(valuesOf(demo), 0, 1, 1, 2)(demo) ?? '';
    expect(items(valuesOf(alone), ['pools', 0, 'tiers'])).toEqual([
      ['sim-swedencentral/support-ptu'],
      ['sim-eastus2/support'],
      ['sim-northcentralus/support'],
    ]);
    const gone = removeMember(valuesOf(demo), 0, 0, 0)(demo) ?? '';
    expect(items(valuesOf(gone), ['pools', 0, 'tiers'])).toHaveLength(1);
    expect(gone).toContain('# then pay per token');
  });
});

describe('a move of traffic', () => {
  const wish: Wish = { route: 'support-bot', from: 'eastus2', to: 'northcentralus', percent: 40, apart: false };
  const tiersAfter = (change: Partial<Wish>): unknown => {
    const move = planMove(valuesOf(demo), { ...wish, ...change }) as Move;
    const text = move.edit(demo) ?? '';
    expect(text).toContain('# reserved throughput first');
    return items(valuesOf(text), ['pools', 0, 'tiers']);
  };
  it('within a tier changes its weights only', () => {
    expect(tiersAfter({})).toEqual([
      ['sim-swedencentral/support-ptu'],
      [
        { deployment: 'sim-eastus2/support', weight: 30 },
        { deployment: 'sim-northcentralus/support', weight: 70 },
      ],
    ]);
  });
  it('to a region of a lower tier lifts it', () => {
    expect(tiersAfter({ from: 'swedencentral', to: 'eastus2', percent: 25 })).toEqual([
      [
        { deployment: 'sim-swedencentral/support-ptu', weight: 75 },
        { deployment: 'sim-eastus2/support', weight: 25 },
      ],
      ['sim-northcentralus/support'],
    ]);
  });
  it('is told in shares that add up to a hundred', () => {
    for (const percent of [5, 25, 40, 100]) {
      const move = planMove(valuesOf(demo), { ...wish, percent }) as Move;
      const told = move.words.map((line) => [...line.matchAll(/ (\d+) %/g)].map(([, digits]) => Number(digits)));
      expect(told.map(sum), `${percent}: ${move.words.join('; ')}`).toEqual(told.map(() => 100));
      expect(told.length).toBeGreaterThan(0);
    }
  });
  it('of everything leaves the region as a last resort', () => {
    expect(tiersAfter({ percent: 100 })).toEqual([
      ['sim-swedencentral/support-ptu'],
      ['sim-northcentralus/support'],
      ['sim-eastus2/support'],
    ]);
  });
  it('with a pool of its own leaves the others alone', () => {
    const shared = `${demo}    aliases: [short]\n\n  - name: other\n    pool: summary\n`;
    const move = planMove(valuesOf(shared), { route: 'summary', from: 'eastus2', to: 'swedencentral', percent: 50, apart: true }) as Move;
    const after = valuesOf(move.edit(shared) ?? '');
    expect(items(after, ['pools'])[2]).toMatchObject({ name: 'summary-summary' });
    expect(items(after, ['routes'])[1]).toMatchObject({ pool: 'summary-summary' });
    expect(items(after, ['routes'])[2]).toMatchObject({ pool: 'summary' });
  });
  it.each([
    [{ to: 'mars' }, 'has no deployment in mars'],
    [{ from: 'mars' }, 'has no deployment in mars'],
    [{ to: 'eastus2' }, 'two different'],
    [{ route: 'x' }, 'no route x'],
  ])('is refused: %j', (change, why) =>
    expect(planMove(valuesOf(demo), { ...wish, ...change })).toMatchObject({ refusal: expect.stringContaining(why) }),
  );
});
