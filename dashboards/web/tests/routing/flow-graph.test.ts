/** The graph of what flowed: nothing is lost on the way, and it stays small enough to be read. */
import { describe, expect, it } from 'vitest';

import type { Flow } from '../../src/types/state';
import { byKind, drawn, flowGraph, heightFor, NODES_MAX } from '../../src/routing/flow-graph';
import type { FlowGraph } from '../../src/routing/flow-graph';

const flow = (route: string, deployment: string, requests: number, reasons: Record<string, number> = { home: requests }): Flow => ({
  route,
  deployment,
  region: deployment.split('/')[0] ?? '',
  tier: 1,
  requests,
  reasons,
  errors: 1,
});

const flows = [
  flow('a', 'east/x', 60, { warm: 40, spill_no_room: 20 }),
  flow('a', 'west/x', 30, { failover: 30 }),
  flow('b', 'west/x', 10),
];

const through = (graph: FlowGraph, column: number): number =>
  graph.links.filter(({ source }) => source.startsWith(`${column}:`)).reduce((sum, { requests }) => sum + requests, 0);

it('carries every request from column to column', () => {
  const graph = flowGraph(flows);
  expect(graph.requests).toBe(100);
  expect([through(graph, 0), through(graph, 1)]).toEqual([100, 100]);
  expect(graph.nodes.find(({ id }) => id === '1:west/x')).toMatchObject({ requests: 40, errors: 2 });
});

it('tells apart what was placed, what spilled and what failed over', () => {
  const kinds = flowGraph(flows)
    .links.filter(({ source }) => source === '0:a')
    .map(({ kind, requests }) => [kind, requests]);
  expect(kinds).toEqual([
    ['placed', 40],
    ['spilled', 20],
    ['failed_over', 30],
  ]);
});

describe('reasons that do not add up', () => {
  it.each([
    [
      { home: 1, tier: 1 },
      [
        ['placed', 5],
        ['spilled', 5],
      ],
    ],
    [{}, [['placed', 10]]],
  ] as const)('%j', (reasons, expected) => {
    expect(byKind(flow('a', 'b', 10, reasons))).toEqual(expected);
  });
});

it('gathers the smallest beyond what can be read', () => {
  const many = Array.from({ length: 40 }, (_, n) => flow(`route-${n}`, `r${n}/d`, n + 1));
  const graph = flowGraph(many);
  for (const column of [0, 1, 2] as const) expect(graph.nodes.filter((node) => node.column === column)).toHaveLength(NODES_MAX[column]);
  expect(graph.nodes.some(({ name }) => name === 'others')).toBe(true);
  expect(through(graph, 0)).toBe(graph.requests);
});

it('is drawn inside its box, with nothing for nothing', () => {
  const graph = flowGraph(flows);
  const { nodes, links } = drawn(graph, 800, heightFor(graph));
  for (const node of nodes) {
    expect(node.x).toBeGreaterThanOrEqual(0);
    expect(node.x + node.width).toBeLessThanOrEqual(800);
    expect(node.y + node.height).toBeLessThanOrEqual(heightFor(graph));
  }
  expect(links.every(({ path, ends }) => path.startsWith('M') && ends[0] !== '' && ends[1] !== '')).toBe(true);
  expect(drawn(flowGraph([]), 800, 200)).toEqual({ nodes: [], links: [] });
});

it('names requests that nobody was asked for', () => {
  const graph = flowGraph([{ ...flow('a', '(none)', 5, { no_room: 5 }), region: '' }]);
  expect(graph.nodes.map(({ name }) => name)).toEqual(['a', 'nobody was asked', 'nowhere']);
});
