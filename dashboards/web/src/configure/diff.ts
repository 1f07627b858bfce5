/** What differs between two texts, line by line: the longest common subsequence, with equal ends cut off first. Pure. */

export interface Row {
  kind: 'same' | 'out' | 'in';
  /** Line numbers from 1; `null` where the line is not in that text. */
  old: number | null;
  now: number | null;
  text: string;
}

/** A part of the texts that differs; `base` and `other` are half-open ranges of lines from 0. */
export interface Change {
  base: [number, number];
  other: [number, number];
}

/** Beyond this many pairs of lines what differs is shown as one block: some 8 MB and a tenth of a second. */
const PAIRS_MAX = 4_000_000;
const CONTEXT_LINES = 3;

export const linesOf = (text: string): string[] => text.replace(/\n$/, '').split('\n');

/** The parts that differ, in order. */
export function changesOf(base: readonly string[], other: readonly string[]): Change[] {
  let start = 0;
  while (start < base.length && start < other.length && base[start] === other[start]) start++;
  let [end, otherEnd] = [base.length, other.length];
  while (end > start && otherEnd > start && base[end - 1] === other[otherEnd - 1]) [end, otherEnd] = [end - 1, otherEnd - 1];
  const [rows, columns] = [end - start, otherEnd - start];
  if (rows === 0 && columns === 0) return [];
  if (rows * columns > PAIRS_MAX || rows === 0 || columns === 0) return [{ base: [start, end], other: [start, otherEnd] }];
  const common = table(base, other, start, rows, columns);
  const changes: Change[] = [];
  let [i, j] = [0, 0];
  while (i < rows || j < columns) {
    if (i < rows && j < columns && base[start + i] === other[start + j]) [i, j] = [i + 1, j + 1];
    else {
      const [fromI, fromJ] = [i, j];
      while ((i < rows || j < columns) && !(i < rows && j < columns && base[start + i] === other[start + j])) {
        if (j >= columns || (i < rows && (common[(i + 1) * (columns + 1) + j] ?? 0) >= (common[i * (columns + 1) + j + 1] ?? 0))) i++;
        else j++;
      }
      changes.push({ base: [start + fromI, start + i], other: [start + fromJ, start + j] });
    }
  }
  return changes;
}

/** Lengths of the longest common subsequences of what is left from each pair of lines on. */
function table(base: readonly string[], other: readonly string[], start: number, rows: number, columns: number): Uint16Array {
  const common = new Uint16Array((rows + 1) * (columns + 1));
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      const at = i * (columns + 1) + j;
      const down = common[at + columns + 1] ?? 0;
      const right = common[at + 1] ?? 0;
      common[at] = base[start + i] === other[start + j] ? (common[at + columns + 2] ?? 0) + 1 : Math.max(down, right);
    }
  }
  return common;
}

/** The differences with some lines around them, as groups that belong together. */
export function hunks(before: string, after: string): Row[][] {
  const [base, other] = [linesOf(before), linesOf(after)];
  const groups: Change[][] = [];
  for (const change of changesOf(base, other)) {
    const last = groups.at(-1);
    const end = last?.at(-1)?.base[1];
    if (last && end !== undefined && change.base[0] - end <= 2 * CONTEXT_LINES) last.push(change);
    else groups.push([change]);
  }
  return groups.map((group) => rowsOf(group, base, other));
}

function rowsOf(group: readonly Change[], base: readonly string[], other: readonly string[]): Row[] {
  const rows: Row[] = [];
  const first = group[0];
  if (!first) return rows;
  let [old, now] = [Math.max(0, first.base[0] - CONTEXT_LINES), 0];
  now = first.other[0] - (first.base[0] - old);
  const same = (until: number): void => {
    for (; old < until; old++, now++) rows.push({ kind: 'same', old: old + 1, now: now + 1, text: base[old] ?? '' });
  };
  for (const change of group) {
    same(change.base[0]);
    for (; old < change.base[1]; old++) rows.push({ kind: 'out', old: old + 1, now: null, text: base[old] ?? '' });
    for (; now < change.other[1]; now++) rows.push({ kind: 'in', old: null, now: now + 1, text: other[now] ?? '' });
  }
  same(Math.min(base.length, old + CONTEXT_LINES));
  return rows;
}

/** Lines taken out and put in. */
export function sizeOf(before: string, after: string): { out: number; in: number } {
  const changes = changesOf(linesOf(before), linesOf(after));
  const sum = (of: (change: Change) => [number, number]): number =>
    changes.reduce((total, change) => total + of(change)[1] - of(change)[0], 0);
  return { out: sum(({ base }) => base), in: sum(({ other }) => other) };
}
