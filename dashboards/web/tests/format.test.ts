/** Numbers, money, durations and changes as text, at the edges where units change. */
import { expect, test } from 'vitest';
import * as format from '../src/format';

function check<T>(shown: (value: T) => string, cases: readonly (readonly [T, string])[]): void {
  for (const [value, text] of cases) expect(shown(value).replaceAll('\u202f', ' '), String(value)).toBe(text);
}

test('counts keep three digits and change units where they would be rounded to the next', () => {
  check(format.count, [
    [null, '–'],
    [Number.NaN, '–'],
    [0, '0'],
    [0.1234, '0.123'],
    [9.876, '9.88'],
    [12.34, '12.3'],
    [999.4, '999'],
    [999.6, '1 k'],
    [1234, '1.23 k'],
    [999_600, '1 M'],
    [5.25e9, '5.25 G'],
    [2e12, '2 T'],
    [-1500, '-1.5 k'],
  ]);
});

test('exact counts show all digits in groups', () => {
  check(format.exact, [
    [0, '0'],
    [1234567, '1 234 567'],
    [-1234.5, '−1 234.5'],
  ]);
});

test('durations are told in the unit that suits', () => {
  check(format.duration, [
    [null, '–'],
    [0, '0 ms'],
    [0.19, '190 µs'],
    [0.9996, '1 ms'],
    [280, '280 ms'],
    [999.6, '1 s'],
    [45_000, '45 s'],
    [120_000, '2 min'],
    [7_200_000, '2 h'],
    [172_800_000, '2 d'],
  ]);
});

test('shares keep small errors visible', () => {
  check(format.percent, [
    [null, '–'],
    [0, '0 %'],
    [0.00001, '< 0.01 %'],
    [0.0004, '0.04 %'],
    [0.1234, '12.3 %'],
    [1, '100 %'],
  ]);
});

test('money has cents from a dollar on and more digits below', () => {
  check(format.usd, [
    [null, '–'],
    [0, '$0.00'],
    [12.3, '$12.30'],
    [0.5, '$0.50'],
    [0.0042, '$0.0042'],
    [0.00001, '< $0.0001'],
    [1234.56, '$1 235'],
    [2_500_000, '$2.5 M'],
    [-3, '−$3.00'],
  ]);
  check(format.usdShort, [
    [357.61, '$358'],
    [1277, '$1.28 k'],
    [8.5, '$8.50'],
  ]);
});

test('changes carry their sign, and large ones are told as times', () => {
  check(format.signed, [
    [null, '–'],
    [0, '±0 %'],
    [0.123, '+12 %'],
    [-0.034, '−3.4 %'],
    [12, '×13'],
  ]);
});

test('spans are told in the units that people use', () => {
  check(format.span, [
    [-5, 'less than 1 s'],
    [746, 'less than 1 s'],
    [63_400, '63 s'],
    [130_800, '2 min'],
    [7_200_000, '2 h'],
    [172_800_000, '2 d'],
  ]);
});

test('times are told from now, in both directions', () => {
  const now = 1_000_000_000;
  check(
    (ms: number) => format.ago(ms, now),
    [
      [now, 'now'],
      [now - 3_000, '3 s ago'],
      [now - 180_000, '3 min ago'],
      [now + 7_200_000, 'in 2 h'],
      [now + 172_800_000, 'in 2 d'],
    ],
  );
});
