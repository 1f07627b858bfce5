/**
 * Reads a configuration's text: its values, and where in the text each node stands.
 *
 * Forms and guided actions read through this; what they change goes through `edits.ts`. A text that is no YAML has no values, and the
 * forms say so instead of guessing. The last few texts' parses are kept, since a form asks for many paths of one text.
 */
import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document, Node, Pair, Scalar } from 'yaml';

/** A member's name or an item's number, from the root on. */
export type Path = readonly (string | number)[];

/** A value as YAML's core schema knows it. */
export type Value = string | number | boolean | null | Value[] | { [name: string]: Value };

export interface Parsed {
  text: string;
  document: Document;
  /** The values; `null` where the text cannot be read. */
  values: Value;
  /** Why it cannot be read: the parser's first complaint, with its line from 1. */
  mistake: { message: string; line: number } | null;
}

/** Texts whose parse is kept: what is in use, what it is now, and what an edit makes of it. */
const KEPT_MAX = 4;
let kept: readonly Parsed[] = [];

export function parse(text: string): Parsed {
  const known = kept.find((one) => one.text === text);
  if (known) return known;
  const document = parseDocument(text, { keepSourceTokens: true, logLevel: 'silent' });
  const error = document.errors[0];
  const values = error ? null : (document.toJS({ maxAliasCount: 100 }) as Value);
  const mistake = error ? { message: error.message.split('\n')[0] ?? 'not YAML', line: error.linePos?.[0].line ?? 1 } : null;
  const parsed = { text, document, values, mistake };
  kept = [parsed, ...kept].slice(0, KEPT_MAX);
  return parsed;
}

/** What stands at the path; `undefined` where nothing does. */
export function at(values: Value | undefined, path: Path): Value | undefined {
  let value = values;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Array.isArray(value) ? value[Number(step)] : value[String(step)];
  }
  return value;
}

/** The items of a list, or none. */
export function items(values: Value | undefined, path: Path): Value[] {
  const found = at(values, path);
  return Array.isArray(found) ? found : [];
}

/** The text at the path, or `''`. */
export function word(values: Value | undefined, path: Path): string {
  const found = at(values, path);
  return typeof found === 'string' ? found : '';
}

/** The number at the path, or `null`. */
export function figure(values: Value | undefined, path: Path): number | null {
  const found = at(values, path);
  return typeof found === 'number' ? found : null;
}

/** The node at the path; `null` where there is none. */
export function nodeAt(document: Document, path: Path): Node | null {
  let node: unknown = document.contents;
  for (const step of path) {
    if (isMap(node)) node = pairAt(node.items, String(step))?.value;
    else if (isSeq(node)) node = node.items[Number(step)];
    else return null;
  }
  return isMap(node) || isSeq(node) || isScalar(node) ? node : null;
}

/** The pair of a map with this key. */
export function pairAt(pairs: readonly Pair[], key: string): Pair<Scalar, Node | null> | undefined {
  return pairs.find((pair): pair is Pair<Scalar, Node | null> => isScalar(pair.key) && String(pair.key.value) === key);
}

/** The line, from 1, on which the path's node begins; `null` where there is none. */
export function lineOf(parsed: Parsed, path: Path): number | null {
  const start = nodeAt(parsed.document, path)?.range?.[0];
  return start === undefined ? null : parsed.text.slice(0, start).split('\n').length;
}

/** Whether two values are the same, members in any order. */
export function same(one: Value | undefined, other: Value | undefined): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || !one || !other) return false;
  if (Array.isArray(one) || Array.isArray(other)) {
    return Array.isArray(one) && Array.isArray(other) && one.length === other.length && one.every((item, n) => same(item, other[n]));
  }
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => name in other && same(one[name], other[name]));
}
