/** Writes a value as YAML on one line, as it may stand in any place of a document. */
import type { Value } from './document';

/** Words that YAML reads as something else than text. */
const NOT_TEXT = /^(?:true|false|null|yes|no|on|off|~|[-+]?[.0-9][0-9._eExXoO:+-]*|\.nan|[-+]?\.inf)$/i;
const PLAIN = /^[A-Za-z0-9_./$][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+-]+)*$/;

export function flowText(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(flowText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([name, member]) => `${flowText(name)}: ${flowText(member)}`);
    return pairs.length > 0 ? `{ ${pairs.join(', ')} }` : '{}';
  }
  if (typeof value === 'string') return PLAIN.test(value) && !NOT_TEXT.test(value) ? value : JSON.stringify(value);
  return String(value);
}

/** The same over several lines, the way a list's item is written by hand: a map's members below one another. */
export function itemLines(item: Value, indent: string): string[] {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return [`${indent}- ${flowText(item)}`];
  const pairs = Object.entries(item).map(([name, member]) => `${flowText(name)}: ${flowText(member)}`);
  return pairs.length > 0 ? pairs.map((pair, n) => `${indent}${n === 0 ? '- ' : '  '}${pair}`) : [`${indent}- {}`];
}

/** The lines of a list or map that stands as a block, each item and member in one line. */
export function blockLines(value: Value): string[] {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) return [flowText(value)];
  if (Array.isArray(value)) return value.map((item) => `- ${flowText(item)}`);
  return Object.entries(value).map(([name, member]) => `${flowText(name)}: ${flowText(member)}`);
}
