/** What flowed from routes to deployments to regions, drawn; the same as a table where it is asked for, or the window is narrow. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { count, percent } from '../format';
import type { Flow } from '../types/state';
import { Table, type Column } from '../ui/table';
import { byKind, drawn, flowGraph, heightFor, nameOf } from './flow-graph';
import type { DrawnNode } from './flow-graph';
import { KIND_WORDS } from './words';
import type { FlowKind } from './words';

/** Below this the three columns' names would lie over each other. */
const DRAWN_PX_MIN = 620;
const LABEL_GAP_PX = 8;
/** Width of a node, as `drawn` has it. */
const NODE_PX = 8;
const COLUMNS_DRAWN = ['Routes', 'Deployments', 'Regions'] as const;
const KINDS: readonly FlowKind[] = ['placed', 'spilled', 'failed_over'];

export function Sankey({ flows, asTable }: { flows: readonly Flow[]; asTable: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!box.current) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const graph = useMemo(() => flowGraph(flows), [flows]);
  const height = heightFor(graph);
  const isDrawn = !asTable && width >= DRAWN_PX_MIN;
  return (
    <div ref={box} style={{ minHeight: `${height}px` }}>
      {width > 0 && (isDrawn ? <Drawing graph={graph} width={width} height={height} /> : <FlowTable flows={flows} />)}
      {isDrawn && <Legend />}
    </div>
  );
}

function Drawing({ graph, width, height }: { graph: ReturnType<typeof flowGraph>; width: number; height: number }) {
  const { nodes, links } = useMemo(() => drawn(graph, width, height), [graph, width, height]);
  return (
    <svg
      class="sankey"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={`${count(graph.requests)} requests from routes to deployments to regions; the table has the figures`}
    >
      {links.map((link) => (
        <path key={`${link.source} ${link.target} ${link.kind}`} class={`flow flow-${link.kind}`} d={link.path} stroke-width={link.width}>
          <title>
            {link.ends[0]} to {link.ends[1]}: {count(link.requests)} requests, {KIND_WORDS[link.kind]}
          </title>
        </path>
      ))}
      {COLUMNS_DRAWN.map((name, n) => (
        <text key={name} class="flow-column" x={[0, (width - NODE_PX) / 2, width][n]} y={12} text-anchor={n === 2 ? 'end' : 'start'}>
          {name}
        </text>
      ))}
      {nodes.map((node) => (
        <Node key={node.id} node={node} all={graph.requests} />
      ))}
    </svg>
  );
}

function Node({ node, all }: { node: DrawnNode; all: number }) {
  const isLast = node.column === 2;
  const x = isLast ? node.x - LABEL_GAP_PX : node.x + node.width + LABEL_GAP_PX;
  const middle = node.y + node.height / 2;
  return (
    <g text-anchor={isLast ? 'end' : 'start'}>
      <rect class="flow-node" x={node.x} y={node.y} width={node.width} height={node.height} rx={2} />
      <text x={x} y={middle - 2} class="flow-name">
        {node.name}
      </text>
      <text x={x} y={middle + 12} class="flow-figure">
        {count(node.requests)} · {percent(node.requests / all)}
        {node.errors > 0 ? ` · ${count(node.errors)} failed` : ''}
      </text>
    </g>
  );
}

function Legend() {
  return (
    <ul class="flow-legend">
      {KINDS.map((kind) => (
        <li key={kind}>
          <span class={`flow-swatch flow-swatch-${kind}`} aria-hidden="true" />
          {KIND_WORDS[kind]}
        </li>
      ))}
    </ul>
  );
}

const part = (flow: Flow, kind: FlowKind): number => Math.round(byKind(flow).find(([own]) => own === kind)?.[1] ?? 0);

const COLUMNS: readonly Column<Flow>[] = [
  { id: 'route', head: 'Route', cell: ({ route }) => route, by: ({ route }) => route },
  { id: 'deployment', head: 'Deployment', cell: ({ deployment }) => nameOf(deployment), by: ({ deployment }) => deployment },
  { id: 'region', head: 'Region', cell: ({ region }) => region, by: ({ region }) => region },
  { id: 'tier', head: 'Tier', cell: ({ tier }) => (tier === null ? '–' : tier + 1), by: ({ tier }) => tier, number: true },
  { id: 'requests', head: 'Requests', cell: ({ requests }) => count(requests), by: ({ requests }) => requests, number: true },
  { id: 'spilled', head: 'Spilled', cell: (flow) => count(part(flow, 'spilled')), by: (flow) => part(flow, 'spilled'), number: true },
  {
    id: 'failed_over',
    head: 'Failed over',
    cell: (flow) => count(part(flow, 'failed_over')),
    by: (flow) => part(flow, 'failed_over'),
    number: true,
  },
  { id: 'errors', head: 'Failed', cell: ({ errors }) => count(errors), by: ({ errors }) => errors, number: true },
];

function FlowTable({ flows }: { flows: readonly Flow[] }) {
  return (
    <Table
      label="Requests by route and deployment"
      columns={COLUMNS}
      rows={flows}
      rowKey={(flow) => `${flow.route} ${flow.deployment}`}
      sort={{ id: 'requests', down: true }}
    />
  );
}
