/** Changes of plain values, which say what an edit of the text must come to. Nothing given is changed. */
import type { Path, Value } from './document';

/** The values with `value` at the path; maps that are missing on the way are made. `undefined` takes the member or item away. */
export function withValue(values: Value | undefined, path: Path, value: Value | undefined): Value {
  const [step, ...rest] = path;
  if (step === undefined) return value ?? null;
  if (Array.isArray(values)) {
    const at = Number(step);
    const items = [...values];
    if (rest.length === 0 && value === undefined) items.splice(at, 1);
    else items[at] = withValue(values[at], rest, value);
    return items;
  }
  const map = typeof values === 'object' && values !== null ? values : {};
  const name = String(step);
  if (rest.length === 0 && value === undefined) {
    return Object.fromEntries(Object.entries(map).filter(([other]) => other !== name));
  }
  return { ...map, [name]: withValue(map[name], rest, value) };
}

/** The values with an item put into the list at the path, before what stands at `index`. */
export function withItem(values: Value | undefined, path: Path, index: number, item: Value): Value {
  const [step, ...rest] = path;
  if (step === undefined) {
    const list = Array.isArray(values) ? [...values] : [];
    list.splice(index, 0, item);
    return list;
  }
  if (Array.isArray(values)) return values.map((old, n) => (n === Number(step) ? withItem(old, rest, index, item) : old));
  const map = typeof values === 'object' && values !== null ? values : {};
  return { ...map, [String(step)]: withItem(map[String(step)], rest, index, item) };
}
