/**
 * Changes a configuration's text where it must change and nowhere else: comments, order, quotes and line ends stay as they are.
 *
 * Each edit says first what the values must be afterwards. Then it splices the text, reads it again and compares. Where a splice does
 * not come to the same (unusual layouts, anchors), the `yaml` library writes the document anew: comments are kept then too, only the
 * layout becomes its own. An edit that comes to the wrong values is not made: the answer is `null`, and the text stays.
 */
import { parseDocument } from 'yaml';
import type { Document } from 'yaml';

import { at, parse, same } from './document';
import type { Path, Value } from './document';
import { withItem, withValue } from './values';
import { spliceInsert, spliceMove, spliceRemove, spliceSet } from './splices';

/** Sets what is at the path; maps that are missing on the way are made. `null` if the text is not readable. */
export function setAt(text: string, path: Path, value: Value): string | null {
  const { values, mistake } = parse(text);
  if (mistake) return null;
  if (same(at(values, path), value)) return text;
  // From the deepest collection that is there on: what is empty (`health:` and nothing behind it) becomes a map.
  let depth = path.length - 1;
  while (depth > 0 && (typeof at(values, path.slice(0, depth)) !== 'object' || at(values, path.slice(0, depth)) === null)) depth--;
  const inner = withValue(undefined, path.slice(depth + 1), value);
  const rewrite = (document: Document): void => document.setIn(path.slice(0, depth + 1), document.createNode(inner));
  return checked(withValue(values, path, value), text, () => spliceSet(text, path, value), rewrite);
}

/** Takes the member or item at the path away, and every map above it that is empty then. */
export function removeAt(text: string, path: Path): string | null {
  const { values, mistake } = parse(text);
  if (mistake) return null;
  if (at(values, path) === undefined) return text;
  const above = at(values, path.slice(0, -1));
  const isOnlyMember = typeof above === 'object' && above !== null && !Array.isArray(above) && Object.keys(above).length === 1;
  if (path.length > 1 && isOnlyMember && typeof path.at(-2) === 'string') return removeAt(text, path.slice(0, -1));
  const rewrite = (document: Document): void => void document.deleteIn([...path]);
  return checked(withValue(values, path, undefined), text, () => spliceRemove(text, path), rewrite);
}

/** Puts an item into the list at the path, before what stands at `index`; the list is made where there is none. */
export function insertAt(text: string, list: Path, index: number, item: Value): string | null {
  const { values, mistake } = parse(text);
  if (mistake) return null;
  const found = at(values, list);
  if (found === undefined) return setAt(text, list, [item]);
  const rewrite = (document: Document): void =>
    document.setIn([...list], document.createNode(at(withItem(values, list, index, item), list)));
  return checked(withItem(values, list, index, item), text, () => spliceInsert(text, list, index, item), rewrite);
}

/** Moves an item of the list at the path, with the comments that stand above and beside it. */
export function moveAt(text: string, list: Path, from: number, to: number): string | null {
  const { values, mistake } = parse(text);
  const found = at(values, list);
  if (mistake || !Array.isArray(found)) return null;
  const moved = [...found];
  const [item] = moved.splice(from, 1);
  if (item === undefined || to < 0 || to >= found.length) return null;
  moved.splice(to, 0, item);
  const rewrite = (document: Document): void => document.setIn([...list], document.createNode(moved));
  return checked(withValue(values, list, moved), text, () => spliceMove(text, list, from, to), rewrite);
}

/** Makes several edits, one after the other; `null` if one of them cannot be made. */
export function edited(text: string, steps: readonly ((text: string) => string | null)[]): string | null {
  let now: string | null = text;
  for (const step of steps) {
    if (now === null) return null;
    now = step(now);
  }
  return now;
}

function checked(expected: Value, text: string, splice: () => string | null, rewrite: (document: Document) => void): string | null {
  const spliced = splice();
  if (spliced !== null && holds(spliced, expected)) return spliced;
  const document = parseDocument(text, { logLevel: 'silent' });
  rewrite(document);
  const rewritten = document.toString({ lineWidth: 0 });
  return holds(rewritten, expected) ? rewritten : null;
}

function holds(text: string, expected: Value): boolean {
  const { values, mistake } = parse(text);
  return mistake === null && same(values ?? undefined, expected);
}
