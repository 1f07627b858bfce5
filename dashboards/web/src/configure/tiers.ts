/** A pool's tiers as forms see them, and edits of them in the text. */
import { at, figure, items, word } from './document';
import type { Value } from './document';
import { edited, insertAt, moveAt, removeAt, setAt } from './edits';
import { asWeights, shares } from './weights';

/** A deployment of `resources`. */
export interface Declared {
  name: string;
  region: string;
  sku: string;
  capacity: number | null;
  weight: number | null;
  /** Where it stands: `resources[r].deployments[d]`. */
  path: readonly ['resources', number, 'deployments', number];
}

/** A member of a tier. */
export interface Member {
  deployment: string;
  /** A weight for this tier only. */
  own: number | null;
  /** What its share is reckoned from: its own weight, the deployment's, its capacity, or 1. */
  weight: number;
  region: string;
  share: number;
}

type Edit = (text: string) => string | null;

/** All deployments, in the order of the text. */
export function declared(values: Value | undefined): Declared[] {
  return items(values, ['resources']).flatMap((resource, r) =>
    items(resource, ['deployments']).map((deployment, d) => ({
      name: `${word(resource, ['name'])}/${word(deployment, ['name'])}`,
      region: word(resource, ['region']),
      sku: word(deployment, ['sku']),
      capacity: figure(deployment, ['capacity']),
      weight: figure(deployment, ['weight']),
      path: ['resources', r, 'deployments', d] as const,
    })),
  );
}

/** A deployment's weight where its tier names none: tokens a minute are counted as such, reserved throughput in its units. */
export function weightOf(deployment: Declared | undefined): number {
  if (!deployment) return 1;
  const units =
    deployment.capacity === null ? null : deployment.sku.includes('Provisioned') ? deployment.capacity : deployment.capacity * 1000;
  return deployment.weight ?? units ?? 1;
}

/** The tiers of a pool. */
export function tiersOf(values: Value | undefined, pool: number): Member[][] {
  const all = new Map(declared(values).map((deployment) => [deployment.name, deployment]));
  return items(values, ['pools', pool, 'tiers']).map((tier) => {
    const members = items(tier, []).map((member) => {
      const deployment = typeof member === 'string' ? member : word(member, ['deployment']);
      const own = figure(member, ['weight']);
      const known = all.get(deployment);
      return { deployment, own, weight: own ?? weightOf(known), region: known?.region ?? '' };
    });
    const parts = shares(members.map(({ weight }) => weight));
    return members.map((member, n) => ({ ...member, share: parts[n] ?? 0 }));
  });
}

/** Writes the shares of a tier as weights of its members. */
export function setShares(pool: number, tier: number, members: readonly Member[], parts: readonly number[]): Edit {
  const weights = asWeights(parts);
  return (text) =>
    setAt(
      text,
      ['pools', pool, 'tiers', tier],
      members.map(({ deployment }, n) => ({ deployment, weight: weights[n] ?? 1 })),
    );
}

/** Takes a tier's own weights away: capacity shares again. */
export function clearShares(pool: number, tier: number, members: readonly Member[]): Edit {
  return (text) =>
    setAt(
      text,
      ['pools', pool, 'tiers', tier],
      members.map(({ deployment }) => deployment),
    );
}

/** Moves a member to another tier; a number beyond the last makes a new one. A tier that is empty then goes. */
export function moveMember(values: Value | undefined, pool: number, from: number, member: number, to: number): Edit {
  const tiers = ['pools', pool, 'tiers'] as const;
  const count = items(values, tiers).length;
  const leaving = items(values, [...tiers, from]);
  const moved = leaving[member];
  // Weights of two tiers are of two scales: what arrives shares by capacity unless the tier has weights of its own.
  const deployment = typeof moved === 'string' ? moved : word(moved, ['deployment']);
  const arriving = items(values, [...tiers, to]);
  const own = arriving.map((other) => figure(other, ['weight']));
  const isWeighted = own.length > 0 && own.every((weight) => weight !== null);
  const mean = own.reduce<number>((sum, weight) => sum + (weight ?? 0), 0) / Math.max(own.length, 1);
  const item: Value = isWeighted ? { deployment, weight: Math.max(1, Math.round(mean)) } : deployment;
  const leave: Edit = (text) => removeAt(text, leaving.length > 1 ? [...tiers, from, member] : [...tiers, from]);
  const arrive: Edit = (text) => {
    if (to < 0) return insertAt(text, tiers, 0, [item]);
    return to >= count ? insertAt(text, tiers, count, [item]) : insertAt(text, [...tiers, to], arriving.length, item);
  };
  // From behind, so that the numbers of what comes before still hold.
  return (text) => edited(text, to > from ? [arrive, leave] : [leave, arrive]);
}

/** Puts a deployment into a tier; a number beyond the last makes a new one. */
export function addMember(values: Value | undefined, pool: number, tier: number, deployment: string): Edit {
  const tiers = ['pools', pool, 'tiers'] as const;
  const there = items(values, [...tiers, tier]);
  const isWeighted = there.length > 0 && there.every((member) => figure(member, ['weight']) !== null);
  const item: Value = isWeighted ? { deployment, weight: 1 } : deployment;
  return (text) =>
    at(values, [...tiers, tier]) === undefined ? insertAt(text, tiers, tier, [item]) : insertAt(text, [...tiers, tier], there.length, item);
}

/** Takes a member out; the last one of a tier goes with its tier. */
export function removeMember(values: Value | undefined, pool: number, tier: number, member: number): Edit {
  const path = ['pools', pool, 'tiers', tier] as const;
  return (text) => removeAt(text, items(values, path).length > 1 ? [...path, member] : path);
}

export const moveTier =
  (pool: number, from: number, to: number): Edit =>
  (text) =>
    moveAt(text, ['pools', pool, 'tiers'], from, to);
