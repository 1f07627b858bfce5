/** What is left without a region. */
import type { FleetRegion } from '../types/state';

/** The least headroom over the region's pools, and which pool it is; `null` where it is not known. */
export function leastHeadroom(region: FleetRegion): { pool: string; ratio: number } | null {
  const known = Object.entries(region.headroom).map(([pool, ratio]) => ({ pool, ratio }));
  return known.sort((a, b) => a.ratio - b.ratio)[0] ?? null;
}
