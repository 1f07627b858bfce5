/**
 * Cuts and pastes in a YAML text, by the places that its parse tells. Each answers with the text after the edit, or `null` where the
 * layout is one that it does not know; `edits.ts` checks what came of it.
 */
import { isCollection, isMap, isScalar, isSeq } from 'yaml';
import type { Node, Pair, YAMLMap, YAMLSeq } from 'yaml';

import { nodeAt, pairAt, parse } from './document';
import type { Path, Value } from './document';
import { blockLines, flowText, itemLines } from './flow-text';
import { withValue } from './values';

export function spliceSet(text: string, path: Path, value: Value): string | null {
  const { document } = parse(text);
  const node = nodeAt(document, path);
  if (node?.range) {
    const isBlock = isCollection(node) && !node.flow;
    const lines = isBlock ? blockLines(value) : [flowText(value)];
    const indent = isBlock ? `\n${' '.repeat(column(text, node.range[0]))}` : '';
    return replaced(text, node.range[0], isBlock ? endOf(node) : node.range[1], lines.join(indent));
  }
  for (let depth = path.length - 1; depth >= 0; depth--) {
    const above = nodeAt(document, path.slice(0, depth));
    if (!above) continue;
    const inner = withValue(undefined, path.slice(depth + 1), value);
    return isMap(above) ? addMember(text, above, `${flowText(String(path[depth]))}: ${flowText(inner)}`, depth === 0) : null;
  }
  return null;
}

export function spliceRemove(text: string, path: Path): string | null {
  const above = nodeAt(parse(text).document, path.slice(0, -1));
  const step = path.at(-1);
  if (isSeq(above))
    return above.flow ? removeFlow(text, seqSpans(above), Number(step)) : cut(text, blockSpans(text, above)?.[Number(step)]);
  if (!isMap(above)) return null;
  const index = above.items.indexOf(pairAt(above.items, String(step)) as Pair);
  if (above.flow) return removeFlow(text, mapSpans(above), index);
  const span = mapSpans(above)[index];
  if (!span || !isBlank(text.slice(lineStart(text, span[0]), span[0]))) return null;
  return cut(text, [lineStart(text, span[0]), lineEnd(text, span[1])]);
}

export function spliceInsert(text: string, list: Path, index: number, item: Value): string | null {
  const node = nodeAt(parse(text).document, list);
  if (!isSeq(node) || !node.range) return null;
  if (node.flow) {
    const spans = seqSpans(node);
    const next = spans[index];
    const before = spans.at(-1);
    if (next) return replaced(text, next[0], next[0], `${flowText(item)}, `);
    if (before) return replaced(text, before[1], before[1], `, ${flowText(item)}`);
    return replaced(text, node.range[0], node.range[1], `[${flowText(item)}]`);
  }
  const spans = blockSpans(text, node);
  const last = spans?.at(-1);
  if (!spans || !last) return null;
  const first = node.items[0];
  const indent = ' '.repeat(column(text, dashOf(text, first as Node)));
  const lines = isMap(first) && first.flow ? [`${indent}- ${flowText(item)}`] : itemLines(item, indent);
  const gap = spans.length > 1 && /\n[ \t]*\n$/.test(text.slice(0, spans[1]?.[0])) ? '\n' : '';
  const next = spans[index];
  if (next) return replaced(text, next[0], next[0], `${lines.join('\n')}\n${gap}`);
  const glue = text[last[1] - 1] === '\n' ? '' : '\n';
  return replaced(text, last[1], last[1], `${glue}${gap}${lines.join('\n')}\n`);
}

export function spliceMove(text: string, list: Path, from: number, to: number): string | null {
  const node = nodeAt(parse(text).document, list);
  if (!isSeq(node)) return null;
  const spans = node.flow ? seqSpans(node) : blockSpans(text, node);
  if (!spans?.[from] || !spans[to]) return null;
  const pieces = spans
    .map(([start, end]) => text.slice(start, end))
    .map((piece) => (node.flow || piece.endsWith('\n') ? piece : `${piece}\n`));
  const [piece] = pieces.splice(from, 1);
  pieces.splice(to, 0, piece ?? '');
  // What stands between the items (commas, blank lines) stays where it is.
  let moved = '';
  spans.forEach(([start], n) => {
    moved += text.slice(n === 0 ? 0 : spans[n - 1]?.[1], start) + (pieces[n] ?? '');
  });
  return moved + text.slice(spans.at(-1)?.[1]);
}

type Span = readonly [start: number, end: number];

function addMember(text: string, map: YAMLMap, pair: string, isRoot: boolean): string | null {
  const spans = mapSpans(map);
  const last = spans.at(-1);
  if (!map.range) return null;
  if (map.flow) return last ? replaced(text, last[1], last[1], `, ${pair}`) : replaced(text, map.range[0], map.range[1], `{ ${pair} }`);
  if (!last) return null;
  // After the last member of one line: a long list that ends a map would hide what comes behind it.
  const short = map.items.flatMap((item, n) => (isScalar(item.value) || (isCollection(item.value) && item.value.flow) ? [spans[n]] : []));
  const after = (isRoot ? last : (short.at(-1) ?? last)) ?? last;
  const indent = ' '.repeat(column(text, spans[0]?.[0] ?? 0));
  const end = lineEnd(text, after[1]);
  const glue = text[end - 1] === '\n' ? '' : '\n';
  return replaced(text, end, end, `${glue}${isRoot ? '\n' : ''}${indent}${pair}\n`);
}

function removeFlow(text: string, spans: readonly Span[], index: number): string | null {
  const [span, next, before] = [spans[index], spans[index + 1], spans[index - 1]];
  if (!span) return null;
  if (next) return replaced(text, span[0], next[0], '');
  return before ? replaced(text, before[1], span[1], '') : replaced(text, span[0], span[1], '');
}

function mapSpans(map: YAMLMap): Span[] {
  return map.items.map((pair) => {
    const key = pair.key as Node;
    return [key.range?.[0] ?? 0, Math.max(key.range?.[1] ?? 0, endOf(pair.value as Node | null))];
  });
}

function seqSpans(list: YAMLSeq): Span[] {
  return list.items.map((item) => [(item as Node).range?.[0] ?? 0, endOf(item as Node)]);
}

/** Whole lines of each item of a block list, with the comments above it; `null` where an item shares its line with something else. */
function blockSpans(text: string, list: YAMLSeq): Span[] | null {
  const spans: Span[] = [];
  for (const item of list.items as Node[]) {
    const dash = dashOf(text, item);
    let start = lineStart(text, dash);
    if (dash < 0 || !isBlank(text.slice(start, dash))) return null;
    const before = spans.at(-1)?.[1] ?? 0;
    for (let above = lineStart(text, start - 1); above >= before && above < start; above = lineStart(text, start - 1)) {
      if (!text.slice(above, start).trimStart().startsWith('#')) break;
      // The first item's comments may be about the list, unless they are indented as the item is.
      if (spans.length === 0 && column(text, above + text.slice(above).search(/\S/)) < dash - lineStart(text, dash)) break;
      start = above;
    }
    spans.push([start, lineEnd(text, endOf(item))]);
  }
  return spans;
}

/** Where the `-` before an item of a block list stands. */
function dashOf(text: string, item: Node): number {
  const start = item.range?.[0] ?? 0;
  const dash = text.lastIndexOf('-', start - 1);
  return isBlank(text.slice(dash + 1, start)) ? dash : -1;
}

/** Where the last written thing of a node ends, comments behind it left out. */
function endOf(node: Node | null): number {
  if (!node?.range) return 0;
  if (isMap(node) && !node.flow) return Math.max(node.range[0], ...mapSpans(node).map(([, end]) => end));
  if (isSeq(node) && !node.flow) return Math.max(node.range[0], ...seqSpans(node).map(([, end]) => end));
  return node.range[1];
}

const replaced = (text: string, start: number, end: number, by: string): string => text.slice(0, start) + by + text.slice(end);
const cut = (text: string, span: Span | undefined): string | null => (span ? replaced(text, span[0], span[1], '') : null);
const isBlank = (text: string): boolean => text.trim() === '';
const lineStart = (text: string, offset: number): number => text.lastIndexOf('\n', offset - 1) + 1;
const column = (text: string, offset: number): number => offset - lineStart(text, offset);

function lineEnd(text: string, offset: number): number {
  if (offset > 0 && text[offset - 1] === '\n') return offset;
  const end = text.indexOf('\n', offset);
  return end < 0 ? text.length : end + 1;
}
