/** Arithmetic of usage and cost: days on a time line, amounts that are not wholly known, and what wants a decision. Pure. */
import type { UsageRow } from './types/reading';
import type { Tone } from './ui/basics';

/** `2026-11-26` as the viewer's midnight, so that the axis names that day. `null` for what is no date. */
export function dayStart(key: string): number | null {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(key);
  return parts === null ? null : new Date(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])).getTime();
}

/** A single day would be a column as wide as the page. */
const DAYS_MIN = 7;

/** Rows of days in order, with empty ones for days without traffic between them, so that a gap is seen as one; at least a week. */
export function daily(rows: readonly UsageRow[]): { starts_ms: number[]; rows: (UsageRow | null)[] } {
  const byStart = new Map<number, UsageRow>();
  for (const row of rows) {
    const start = dayStart(row.key);
    if (start !== null) byStart.set(start, row);
  }
  const starts_ms: number[] = [];
  const last = Math.max(...byStart.keys());
  const week = new Date(last);
  week.setDate(week.getDate() - DAYS_MIN + 1);
  // By the calendar, not by adding 24 hours: two days a year have 23 or 25.
  for (const at = new Date(Math.min(week.getTime(), ...byStart.keys())); at.getTime() <= last; at.setDate(at.getDate() + 1))
    starts_ms.push(at.getTime());
  return { starts_ms, rows: starts_ms.map((start) => byStart.get(start) ?? null) };
}

/** An amount of which a part is not known is at least that. */
export const atLeast = (text: string, is_partial: boolean): string => (is_partial ? `≥\u202f${text}` : text);

/** Kinds that are not named are information. */
const TONES: ReadonlyMap<string, Tone> = new Map([
  ['idle', 'warn'],
  ['unpriced', 'warn'],
  ['cache_saved', 'ok'],
]);

/** How much a finding wants somebody. */
export const findingTone = (kind: string): Tone => TONES.get(kind) ?? 'info';
