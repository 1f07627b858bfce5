/** Shares of a tier's members: what they are, what they become when one is set, and the weights that say so. */

/** Least share that a slider gives: a weight must be more than nothing. */
export const SHARE_MIN = 0.01;

/** Parts of the whole; equal ones where no weight is more than nothing. */
export function shares(weights: readonly number[]): number[] {
  const whole = weights.reduce((sum, weight) => sum + Math.max(weight, 0), 0);
  return weights.map((weight) => (whole > 0 ? Math.max(weight, 0) / whole : 1 / weights.length));
}

/** The shares when one is set; the others keep their proportion to each other. */
export function withShare(before: readonly number[], index: number, share: number): number[] {
  if (before.length < 2) return before.map(() => 1);
  const most = 1 - SHARE_MIN * (before.length - 1);
  const own = Math.min(Math.max(share, SHARE_MIN), most);
  const others = shares(before.map((old, n) => (n === index ? 0 : Math.max(old, SHARE_MIN / 100))));
  return atLeast(
    before.map((_, n) => (n === index ? own : (others[n] ?? 0) * (1 - own))),
    index,
  );
}

/** Whole per cents that add up to 100, none of them 0: weights that people can read. */
export function asWeights(parts: readonly number[]): number[] {
  const whole = shares(parts);
  if (whole.length > 100) return whole.map((part) => Math.max(part, Number.EPSILON));
  const weights = whole.map((part) => Math.max(1, Math.floor(part * 100 + 1e-9)));
  const order = whole.map((part, n) => ({ n, rest: part * 100 - Math.floor(part * 100 + 1e-9) })).sort((a, b) => b.rest - a.rest);
  let left = 100 - weights.reduce((sum, weight) => sum + weight, 0);
  for (let turn = 0; left > 0; turn++, left--) weights[order[turn % order.length]?.n ?? 0]! += 1;
  for (; left < 0; left++) weights[weights.indexOf(Math.max(...weights))]! -= 1;
  return weights;
}

/** Moves a part of what some members have to others, which share it as they share now. */
export function shifted(before: readonly number[], from: readonly number[], to: readonly number[], part: number): number[] {
  const moved = from.reduce((sum, n) => sum + (before[n] ?? 0) * part, 0);
  const into = shares(to.map((n) => before[n] ?? 0));
  return before.map((share, n) => {
    const place = to.indexOf(n);
    if (place >= 0) return share + moved * (into[place] ?? 0);
    return from.includes(n) ? share * (1 - part) : share;
  });
}

/** Lifts those below the least share, at the cost of the largest other than `kept`. */
function atLeast(parts: number[], kept: number): number[] {
  for (const [n, part] of parts.entries()) {
    if (part >= SHARE_MIN) continue;
    let largest = -1;
    for (const [other, size] of parts.entries()) if (other !== kept && (largest < 0 || size > (parts[largest] ?? 0))) largest = other;
    parts[largest] = (parts[largest] ?? 0) - (SHARE_MIN - part);
    parts[n] = SHARE_MIN;
  }
  return parts;
}
