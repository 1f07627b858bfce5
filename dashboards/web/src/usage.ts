/** Arithmetic of usage and cost: days on a time line, sums, and what needs a decision. Pure. */
import type { CostRow, UsageRow } from './types/reading';

/** `2026-11-26` as the viewer's midnight, so that the axis names that day. `null` for what is no date. */
export function dayStart(key: string): number | null {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(key);
  return parts === null ? null : new Date(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])).getTime();
}

/** Rows of days in order, with empty ones for days without traffic between them, so that a gap is seen as one. */
export function daily(rows: readonly UsageRow[]): { starts_ms: number[]; rows: (UsageRow | null)[] } {
  const byStart = new Map<number, UsageRow>();
  for (const row of rows) {
    const start = dayStart(row.key);
    if (start !== null) byStart.set(start, row);
  }
  const starts_ms: number[] = [];
  const last = Math.max(...byStart.keys());
  // By the calendar, not by adding 24 hours: two days a year have 23 or 25.
  for (const at = new Date(Math.min(...byStart.keys())); at.getTime() <= last; at.setDate(at.getDate() + 1)) starts_ms.push(at.getTime());
  return { starts_ms, rows: starts_ms.map((start) => byStart.get(start) ?? null) };
}

export interface Costs {
  hosting_usd: number;
  token_usd: number;
  keepalive_usd: number;
  saved_usd: number;
  total_usd: number;
  requests: number;
}

export function sumOf(rows: readonly CostRow[]): Costs {
  const sum: Costs = { hosting_usd: 0, token_usd: 0, keepalive_usd: 0, saved_usd: 0, total_usd: 0, requests: 0 };
  for (const row of rows) {
    for (const member of ['hosting_usd', 'token_usd', 'keepalive_usd', 'saved_usd', 'total_usd', 'requests'] as const) sum[member] += row[member];
  }
  return sum;
}
