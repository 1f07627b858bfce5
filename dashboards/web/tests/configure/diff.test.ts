/** Differences and merges: what is told put together gives the texts again. */
import { describe, expect, it } from 'vitest';

import { changesOf, hunks, linesOf, sizeOf } from '../../src/configure/diff';
import { merged } from '../../src/configure/merge';

const text = (...lines: string[]): string => `${lines.join('\n')}\n`;
const BASE = text('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l');

describe('the differences', () => {
  const cases: [string, string][] = [
    [BASE, BASE.replace('c\n', 'C\n')],
    [BASE, BASE.replace('c\n', '')],
    [BASE, `new\n${BASE}`],
    [BASE, `${BASE}new\n`],
    [BASE, BASE.replace('b\n', 'x\ny\n').replace('k\n', '')],
    [BASE, ''],
    ['', BASE],
    [BASE, text('l', 'k', 'j', 'a')],
  ];
  it.each(cases)('of case %# make the one text of the other', (before, after) => {
    const [base, other] = [linesOf(before), linesOf(after)];
    const made = [...base];
    for (const change of changesOf(base, other).reverse())
      made.splice(change.base[0], change.base[1] - change.base[0], ...other.slice(...change.other));
    expect(made).toEqual(other);
  });
  it('are none of equal texts', () => expect(hunks(BASE, BASE)).toEqual([]));
  it('stand with three lines around them, numbered', () => {
    const [rows] = hunks(BASE, BASE.replace('f\n', 'F\nF2\n'));
    expect(rows?.map(({ kind, text: line }) => `${{ same: ' ', out: '-', in: '+' }[kind]}${line}`)).toEqual([
      ' c',
      ' d',
      ' e',
      '-f',
      '+F',
      '+F2',
      ' g',
      ' h',
      ' i',
    ]);
    expect(rows?.at(-1)).toMatchObject({ old: 9, now: 10 });
  });
  it('are two groups where they are far apart', () =>
    expect(hunks(BASE, BASE.replace('a\n', 'A\n').replace('l\n', 'L\n'))).toHaveLength(2));
  it('are counted', () => expect(sizeOf(BASE, BASE.replace('f\n', 'F\nF2\n'))).toEqual({ out: 1, in: 2 }));
});

describe('a merge', () => {
  it('takes both where they touch different lines', () => {
    const { text: both, clashes } = merged(BASE, BASE.replace('b\n', 'B\n'), BASE.replace('k\n', 'K\nK2\n'));
    expect([both, clashes]).toEqual([BASE.replace('b\n', 'B\n').replace('k\n', 'K\nK2\n'), []]);
  });
  it('takes once what both did alike', () =>
    expect(merged(BASE, BASE.replace('b\n', 'B\n'), BASE.replace('b\n', 'B\n'))).toEqual({
      text: BASE.replace('b\n', 'B\n'),
      clashes: [],
    }));
  it('names a clash, and keeps mine', () => {
    const { text: mine, clashes } = merged(BASE, BASE.replace('b\n', 'mine\n'), BASE.replace('b\n', 'theirs\n').replace('k\n', 'K\n'));
    expect(mine).toBe(BASE.replace('b\n', 'mine\n').replace('k\n', 'K\n'));
    expect(clashes).toEqual([{ line: 2, mine: ['mine'], theirs: ['theirs'] }]);
  });
  it('sees two insertions in one place', () =>
    expect(merged(BASE, BASE.replace('b\n', 'b\nx\n'), BASE.replace('b\n', 'b\ny\n')).clashes).toHaveLength(1));
  it('of nothing is theirs', () => expect(merged(BASE, BASE, BASE.replace('a\n', '')).text).toBe(BASE.replace('a\n', '')));
});
