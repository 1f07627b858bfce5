/** Lays two people's changes of one text over each other, line by line. Where both changed the same lines, a person decides. Pure. */
import { changesOf, linesOf } from './diff';
import type { Change } from './diff';

export interface Clash {
  /** Line of the common text, from 1. */
  line: number;
  mine: string[];
  theirs: string[];
}

export interface Merged {
  /** Theirs with mine laid over; where they clash, mine. */
  text: string;
  clashes: Clash[];
}

export function merged(base: string, mine: string, theirs: string): Merged {
  const [origin, own, other] = [linesOf(base), linesOf(mine), linesOf(theirs)];
  const [left, right] = [changesOf(origin, own), changesOf(origin, other)];
  const clashes: Clash[] = [];
  const lines: string[] = [];
  let at = 0;
  while (left.length > 0 || right.length > 0) {
    const group = overlapping(left, right);
    lines.push(...origin.slice(at, group.start));
    const mineNow = result(origin, own, group.mine, group.start, group.end);
    const theirsNow = result(origin, other, group.theirs, group.start, group.end);
    if (group.mine.length > 0 && group.theirs.length > 0 && mineNow.join('\n') !== theirsNow.join('\n')) {
      clashes.push({ line: group.start + 1, mine: mineNow, theirs: theirsNow });
    }
    lines.push(...(group.mine.length > 0 ? mineNow : theirsNow));
    at = group.end;
  }
  lines.push(...origin.slice(at));
  return { text: `${lines.join('\n')}\n`, clashes };
}

interface Group {
  start: number;
  end: number;
  mine: Change[];
  theirs: Change[];
}

/** Takes the first change off, and all of both sides that touch it. */
function overlapping(left: Change[], right: Change[]): Group {
  const first = left[0] && (!right[0] || left[0].base[0] <= right[0].base[0]) ? left[0] : right[0];
  const group: Group = { start: first?.base[0] ?? 0, end: first?.base[1] ?? 0, mine: [], theirs: [] };
  for (let isMore = true; isMore;) {
    isMore = false;
    for (const [side, into] of [
      [left, group.mine],
      [right, group.theirs],
    ] as const) {
      while (side[0] && (side[0].base[0] < group.end || side[0].base[0] === group.start)) {
        const change = side.shift();
        if (!change) break;
        into.push(change);
        group.end = Math.max(group.end, change.base[1]);
        isMore = true;
      }
    }
  }
  return group;
}

/** What a side makes of the lines of a group. */
function result(origin: readonly string[], side: readonly string[], changes: readonly Change[], start: number, end: number): string[] {
  const lines: string[] = [];
  let at = start;
  for (const change of changes) {
    lines.push(...origin.slice(at, change.base[0]), ...side.slice(...change.other));
    at = change.base[1];
  }
  return [...lines, ...origin.slice(at, end)];
}
