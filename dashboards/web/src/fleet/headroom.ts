/** What is left without a region. */
import { count, percent } from '../format';
import type { FleetRegion } from '../types/state';

/** The least headroom over the region's pools, and which pool it is; `null` where it is not known. */
export function leastHeadroom(region: FleetRegion): { pool: string; ratio: number } | null {
  const known = Object.entries(region.headroom).map(([pool, ratio]) => ({ pool, ratio }));
  return known.sort((a, b) => a.ratio - b.ratio)[0] ?? null;
}

/** Less than this shows as 0 %. */
const NOBODY = 0.01;
/** From here on the figure tells of little load rather than of much room. */
const AMPLE = 20;

export function headroomWords({ pool, ratio }: { pool: string; ratio: number }): string {
  if (ratio < NOBODY) return `nobody is left for ${pool}`;
  if (ratio >= AMPLE) return 'the others carry it with ease';
  return ratio >= 1
    ? `the others carry ${pool} ${count(ratio)} times over`
    : `the others carry ${percent(Math.floor(ratio * 100) / 100)} of ${pool}`;
}
