/**
 * The guided action "move N % of a route's traffic to another region": what it would change, in words and as edits of the text.
 *
 * In each tier that has deployments of the region to leave, their share falls by that part and goes to the deployments of the other
 * region. Those are brought up from a lower tier where they stand below. All of it (100 %) puts what is left behind into a tier of its
 * own at the end, so that it still takes over when nothing else can.
 */
import { items, word } from './document';
import type { Value } from './document';
import { edited, insertAt, removeAt, setAt } from './edits';
import { tiersOf } from './tiers';
import type { Member } from './tiers';
import { asWeights, shares, shifted } from './weights';

export interface Wish {
  route: string;
  from: string;
  to: string;
  /** Of what the region has now, from 1 to 100. */
  percent: number;
  /** Whether the route gets a pool of its own, where others use its pool too. */
  apart: boolean;
}

export interface Move {
  /** What becomes of each tier that changes. */
  words: string[];
  warnings: string[];
  edit: (text: string) => string | null;
}

/** The move, or why it cannot be made. */
export function planMove(values: Value | undefined, wish: Wish): Move | { refusal: string } {
  const route = items(values, ['routes']).findIndex((item) => word(item, ['name']) === wish.route);
  const poolName = word(values, ['routes', route, 'pool']);
  const pool = items(values, ['pools']).findIndex((item) => word(item, ['name']) === poolName);
  if (route < 0 || pool < 0) return { refusal: `there is no route ${wish.route} with a pool that is declared` };
  if (wish.from === wish.to) return { refusal: 'choose two different regions' };
  const before = tiersOf(values, pool);
  const first = before.findIndex((tier) => tier.some(({ region }) => region === wish.from));
  if (first < 0) return { refusal: `pool ${poolName} has no deployment in ${wish.from}, so none of its traffic goes there` };
  const hasTarget = before.some((tier) => tier.some(({ region }) => region === wish.to));
  if (!hasTarget) return { refusal: `pool ${poolName} has no deployment in ${wish.to}; add one to the pool first (Pools)` };

  const after = movedTiers(before, wish);
  const sharing = items(values, ['routes'])
    .filter((item) => word(item, ['pool']) === poolName)
    .map((item) => word(item, ['name']));
  const others = sharing.filter((name) => name !== wish.route);
  const warnings = [];
  if (others.length > 0 && !wish.apart) warnings.push(`${others.join(', ')} use pool ${poolName} too: their traffic moves as well`);
  if (wish.percent === 100) warnings.push(`${wish.from} takes requests only when nothing else can`);
  warnings.push('prompts that move are found in no cache there at first; the hit ratio recovers within minutes');
  const words = after.flatMap((tier, n) => (same(tier, before[n]) ? [] : [`tier ${n + 1}: ${shareWords(tier)}`]));

  const written = after.map((tier, n) => (same(tier, before[n]) ? items(values, ['pools', pool, 'tiers', n]) : weighted(tier)));
  if (wish.apart && others.length > 0) {
    const name = freeName(values, `${poolName}-${wish.route}`);
    words.unshift(`route ${wish.route} gets a pool of its own, ${name}`);
    const own = { name, tiers: written };
    return {
      words,
      warnings,
      edit: (text) =>
        edited(text, [
          (now) => insertAt(now, ['pools'], items(values, ['pools']).length, own),
          (now) => setAt(now, ['routes', route, 'pool'], name),
        ]),
    };
  }
  return { words, warnings, edit: (text) => writeTiers(text, pool, before.length, written) };
}

/** The shares as they are written, so that they add up to 100. */
function shareWords(tier: readonly Member[]): string {
  const weights = asWeights(tier.map(({ share }) => share));
  return tier.map(({ deployment }, n) => `${deployment} ${Number((weights[n] ?? 0).toFixed(1))} %`).join(', ');
}

function movedTiers(before: Member[][], wish: Wish): Member[][] {
  const part = Math.min(Math.max(wish.percent, 1), 100) / 100;
  const is = (region: string) => (member: Member) => member.region === region;
  const first = before.findIndex((tier) => tier.some(is(wish.from)));
  let tiers = before;
  if (!before[first]?.some(is(wish.to)) && !before.slice(0, first).some((tier) => tier.some(is(wish.to)))) {
    const lifted = before.slice(first + 1).flatMap((tier) => tier.filter(is(wish.to)));
    tiers = before.map((tier, n) =>
      n === first
        ? [...tier, ...lifted.map((member) => ({ ...member, share: 0 }))]
        : n > first
          ? tier.filter((member) => member.region !== wish.to)
          : tier,
    );
  }
  const behind: Member[] = [];
  const moved = tiers.map((tier) => {
    const [from, to] = [wish.from, wish.to].map((region) => tier.flatMap((member, n) => (member.region === region ? [n] : [])));
    if (!from?.length || !to?.length) return tier;
    // Who was lifted has no share yet, and shares by what it can take.
    const known = tier.map((member) => member.share);
    const parts = to.every((n) => known[n] === 0)
      ? fresh(known, from, to, shares(to.map((n) => tier[n]?.weight ?? 1)), part)
      : shifted(known, from, to, part);
    const now = tier.map((member, n) => ({ ...member, share: parts[n] ?? 0 }));
    if (part < 1) return now;
    behind.push(...now.filter(is(wish.from)));
    return now.filter((member) => member.region !== wish.from);
  });
  // A tier that gave members up shares among those that are left.
  const kept = moved
    .filter((tier) => tier.length > 0)
    .map((tier) => {
      const parts = shares(tier.map(({ share }) => share));
      return tier.some((member, n) => Math.abs(member.share - (parts[n] ?? 0)) > 1e-9)
        ? tier.map((member, n) => ({ ...member, share: parts[n] ?? 0 }))
        : tier;
    });
  return behind.length > 0 ? [...kept, behind.map((member) => ({ ...member, share: 1 / behind.length }))] : kept;
}

function fresh(known: number[], from: number[], to: number[], into: number[], part: number): number[] {
  const gone = from.reduce((sum, n) => sum + (known[n] ?? 0) * part, 0);
  return known.map((share, n) => (to.includes(n) ? gone * (into[to.indexOf(n)] ?? 0) : from.includes(n) ? share * (1 - part) : share));
}

function weighted(tier: readonly Member[]): Value {
  const [only, ...more] = tier;
  if (only && more.length === 0) return [only.deployment];
  const weights = asWeights(tier.map(({ share }) => share));
  return tier.map(({ deployment }, n) => ({ deployment, weight: weights[n] ?? 1 }));
}

function writeTiers(text: string, pool: number, count: number, tiers: Value[]): string | null {
  const path = ['pools', pool, 'tiers'] as const;
  const steps = tiers.map((tier, n) => (now: string) => (n < count ? setAt(now, [...path, n], tier) : insertAt(now, path, n, tier)));
  const surplus = Array.from({ length: Math.max(0, count - tiers.length) }, () => (now: string) => removeAt(now, [...path, tiers.length]));
  return edited(text, [...steps, ...surplus]);
}

function freeName(values: Value | undefined, wanted: string): string {
  const taken = new Set(items(values, ['pools']).map((pool) => word(pool, ['name'])));
  let name = wanted.slice(0, 64);
  for (let n = 2; taken.has(name); n++) name = `${wanted.slice(0, 60)}-${n}`;
  return name;
}

const same = (one: readonly Member[], other: readonly Member[] | undefined): boolean =>
  other !== undefined &&
  one.length === other.length &&
  one.every((member, n) => member.deployment === other[n]?.deployment && member.share === other[n].share);
