/**
 * Where in a YAML text a cursor stands: the path, and whether a key or a value is being typed. Reads line by line from the top, by
 * indentation in blocks and by brackets in flows, so that it also knows its way in a text that is not whole yet.
 */
import type { Path } from './document';

export interface Place {
  /** The map's path where a key is typed, the value's own path where a value is. */
  path: Path;
  kind: 'key' | 'value';
  /** Where the word under the cursor begins. */
  from: number;
  /** The word so far. */
  typed: string;
}

/** A map or list that the cursor is in. `key` is the member, or the item's number, that is open in it. */
interface Level {
  kind: 'map' | 'list';
  /** The column at which its members stand; -1 in a flow. */
  column: number;
  key: string | number | null;
}

const KEY = /^("[^"]*"|'[^']*'|[^\s#&*!|>%@`"'[\]{},:][^#:{}[\],]*?)\s*:(?=\s|$)/;

/** The place at `offset`; `null` in a comment. */
export function placeAt(text: string, offset: number): Place | null {
  const levels: Level[] = [];
  const flows = { depth: 0 };
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  let at = 0;
  for (const line of text.slice(0, start).split('\n').slice(0, -1)) {
    // An empty line ends nothing.
    if (line.trim() !== '') readLine(line, at, levels, flows);
    at += line.length + 1;
  }
  const line = text.slice(start, offset);
  if (isComment(line)) return null;
  return readLine(line, start, levels, flows);
}

/** Takes a line in, up to its end or the cursor, and tells the place at its end. */
function readLine(line: string, offset: number, levels: Level[], flows: { depth: number }): Place | null {
  let at = line.search(/\S|$/);
  if (flows.depth === 0) {
    const rest = line.slice(at);
    if (rest.startsWith('#')) return null;
    if (rest === '') {
      close(levels, at, false);
      return { path: pathOf(inside(levels, at)), kind: 'key', from: offset + at, typed: '' };
    }
    while (/^-(\s|$)/.test(line.slice(at))) {
      close(levels, at, true);
      const list = levels.at(-1);
      if (list?.kind === 'list' && list.column === at) list.key = Number(list.key) + 1;
      else levels.push({ kind: 'list', column: at, key: 0 });
      at += 1 + (line.slice(at + 1).search(/\S|$/) ?? 0);
      if (at >= line.length) return { path: pathOf(levels), kind: 'value', from: offset + line.length, typed: '' };
    }
    const key = KEY.exec(line.slice(at));
    if (!key && !'[{'.includes(line[at] ?? ' ')) {
      const open = levels.at(-1);
      const isItem = open?.kind === 'list' && open.column < at && line.slice(open.column, at).trim() === '-';
      if (!isItem) close(levels, at, false);
      return {
        path: pathOf(isItem ? levels : inside(levels, at)),
        kind: isItem ? 'value' : 'key',
        from: offset + at,
        typed: line.slice(at),
      };
    }
    if (key) {
      const name = unquoted(key[1] ?? '');
      close(levels, at, false);
      const map = levels.at(-1);
      if (map?.kind === 'map' && map.column === at) map.key = name;
      else levels.push({ kind: 'map', column: at, key: name });
      at += key[0].length;
      at += line.slice(at).search(/\S|$/);
      if (!'[{'.includes(line[at] ?? ' ')) return { path: pathOf(levels), kind: 'value', from: offset + at, typed: line.slice(at) };
    }
  }
  return readFlow(line, at, offset, levels, flows);
}

/** Brackets, keys and commas of a flow, from `at` on. */
function readFlow(line: string, start: number, offset: number, levels: Level[], flows: { depth: number }): Place | null {
  let at = start;
  let word = at;
  while (at < line.length) {
    const char = line[at] ?? '';
    const open = levels.at(-1);
    if (char === '"' || char === "'") {
      const end = line.indexOf(char, at + 1);
      at = end < 0 ? line.length : end + 1;
      continue;
    }
    if (char === '#' && isBlankBefore(line, at)) return null;
    if (char === '{' || char === '[') {
      levels.push({ kind: char === '{' ? 'map' : 'list', column: -1, key: char === '{' ? null : 0 });
      flows.depth += 1;
      word = at + 1;
    } else if ((char === '}' || char === ']') && flows.depth > 0) {
      levels.pop();
      flows.depth -= 1;
      word = at + 1;
    } else if (char === ',' && flows.depth > 0 && open) {
      open.key = open.kind === 'list' ? Number(open.key) + 1 : null;
      word = at + 1;
    } else if (char === ':' && open?.column === -1 && open.kind === 'map' && open.key === null && /\s|^$/.test(line[at + 1] ?? '')) {
      open.key = unquoted(line.slice(word, at).trim());
      word = at + 1;
    }
    at += 1;
  }
  const open = levels.at(-1);
  const typed = line.slice(word).trimStart();
  const from = offset + line.length - typed.length;
  if (flows.depth === 0) return { path: pathOf(levels), kind: 'value', from, typed };
  return { path: pathOf(levels), kind: open?.kind === 'map' && open.key === null ? 'key' : 'value', from, typed };
}

/** Leaves what a line that begins at `column` is no longer in. A list's dashes may stand in the column of its key. */
function close(levels: Level[], column: number, isDash: boolean): void {
  for (let last = levels.at(-1); last; last = levels.at(-1)) {
    if (last.column < column || (last.column === column && (last.kind === 'map' || isDash))) return;
    levels.pop();
  }
}

/** The levels around a key at `column`: without the map that it becomes a member of, whose open member is another one. */
function inside(levels: readonly Level[], column: number): readonly Level[] {
  const last = levels.at(-1);
  return last?.kind === 'map' && last.column === column ? levels.slice(0, -1) : levels;
}

function pathOf(levels: readonly Level[]): Path {
  return levels.flatMap((level) => (level.key === null ? [] : [level.key]));
}

const unquoted = (word: string): string => word.replace(/^(["'])(.*)\1$/, '$2');
const isBlankBefore = (line: string, at: number): boolean => at === 0 || /\s/.test(line[at - 1] ?? '');
const isComment = (line: string): boolean => /(^|\s)#/.test(line.replace(/"[^"]*"?|'[^']*'?/g, (quoted) => '_'.repeat(quoted.length)));
