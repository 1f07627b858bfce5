/**
 * What flowed from routes to deployments and their regions, as a graph: made of the API's flows, laid out by `d3-sankey`.
 * Pure, so that it is tested without a browser. At most so many nodes as a person can read; the smallest become "others".
 */
import { sankey, sankeyLinkHorizontal } from 'd3-sankey';

import type { Flow } from '../types/state';
import { kindOfReason } from './words';
import type { FlowKind } from './words';

export interface FlowNode {
  id: string;
  /** 0 routes, 1 deployments, 2 regions. */
  column: 0 | 1 | 2;
  name: string;
  requests: number;
  errors: number;
}

export interface FlowLink {
  source: string;
  target: string;
  kind: FlowKind;
  requests: number;
}

export interface FlowGraph {
  nodes: FlowNode[];
  links: FlowLink[];
  requests: number;
}

export const NODES_MAX = [10, 14, 10] as const;
const OTHERS = 'others';

/** A deployment's name; requests that none was asked for have their own. */
export const nameOf = (deployment: string): string => (deployment === '(none)' || deployment === '' ? 'nobody was asked' : deployment);
const regionOf = (flow: Flow): string => flow.region || 'nowhere';

/** Requests of a flow by what became of the one before. Reasons that do not add up to its requests are taken as proportions. */
export function byKind(flow: Flow): [FlowKind, number][] {
  const sums = new Map<FlowKind, number>();
  for (const [reason, requests] of Object.entries(flow.reasons)) {
    const kind = kindOfReason(reason);
    sums.set(kind, (sums.get(kind) ?? 0) + requests);
  }
  const told = [...sums.values()].reduce((sum, requests) => sum + requests, 0);
  if (told <= 0) return [['placed', flow.requests]];
  return [...sums].map(([kind, requests]) => [kind, (requests / told) * flow.requests]);
}

export function flowGraph(flows: readonly Flow[]): FlowGraph {
  const real = flows.filter((flow) => flow.requests > 0);
  const names = [
    largest(real, (flow) => flow.route, NODES_MAX[0]),
    largest(real, (flow) => nameOf(flow.deployment), NODES_MAX[1]),
    largest(real, regionOf, NODES_MAX[2]),
  ] as const;
  const nodes = new Map<string, FlowNode>();
  const links = new Map<string, FlowLink>();
  const node = (column: 0 | 1 | 2, wanted: string, flow: Flow): string => {
    const name = names[column].has(wanted) ? wanted : OTHERS;
    const id = `${column}:${name}`;
    const known = nodes.get(id) ?? { id, column, name, requests: 0, errors: 0 };
    nodes.set(id, { ...known, requests: known.requests + flow.requests, errors: known.errors + flow.errors });
    return id;
  };
  const link = (source: string, target: string, kind: FlowKind, requests: number): void => {
    const id = `${source} ${target} ${kind}`;
    const known = links.get(id);
    links.set(id, { source, target, kind, requests: (known?.requests ?? 0) + requests });
  };
  for (const flow of real) {
    const [route, deployment, region] = [node(0, flow.route, flow), node(1, nameOf(flow.deployment), flow), node(2, regionOf(flow), flow)];
    for (const [kind, requests] of byKind(flow)) {
      link(route, deployment, kind, requests);
      link(deployment, region, kind, requests);
    }
  }
  return { nodes: [...nodes.values()], links: [...links.values()], requests: real.reduce((sum, flow) => sum + flow.requests, 0) };
}

function largest(flows: readonly Flow[], name: (flow: Flow) => string, most: number): Set<string> {
  const sums = new Map<string, number>();
  for (const flow of flows) sums.set(name(flow), (sums.get(name(flow)) ?? 0) + flow.requests);
  const names = [...sums].sort((a, b) => b[1] - a[1]).map(([own]) => own);
  return new Set(names.length > most ? names.slice(0, most - 1) : names);
}

export interface DrawnNode extends FlowNode {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface DrawnLink extends FlowLink {
  path: string;
  width: number;
  /** Names of both ends, for the tooltip. */
  ends: [string, string];
}

/** Places of nodes and paths of links in a box of `width` × `height` pixels. */
export function drawn(graph: FlowGraph, width: number, height: number): { nodes: DrawnNode[]; links: DrawnLink[] } {
  if (graph.nodes.length === 0) return { nodes: [], links: [] };
  const layout = sankey<FlowNode, FlowLink>()
    .nodeId((node) => node.id)
    .nodeWidth(8)
    .nodePadding(32)
    .nodeAlign((node) => node.column)
    .extent([
      [1, 32],
      [width - 1, height - 14],
    ]);
  const laid = layout({
    nodes: graph.nodes.map((node) => ({ ...node })),
    links: graph.links.map((link) => ({ ...link, value: link.requests })),
  });
  const path = sankeyLinkHorizontal<FlowNode, FlowLink>();
  const nodes = laid.nodes.map((node) => {
    const [x0, x1, y0, y1] = [node.x0 ?? 0, node.x1 ?? 0, node.y0 ?? 0, node.y1 ?? 0];
    return {
      id: node.id,
      column: node.column,
      name: node.name,
      requests: node.requests,
      errors: node.errors,
      x: x0,
      y: y0,
      width: x1 - x0,
      height: Math.max(1, y1 - y0),
    };
  });
  const names = new Map(graph.nodes.map((node) => [node.id, node.name]));
  const links = laid.links.map((link, n) => {
    const of = graph.links[n];
    const [source, target] = [of?.source ?? '', of?.target ?? ''];
    const ends: [string, string] = [names.get(source) ?? '', names.get(target) ?? ''];
    return { source, target, kind: link.kind, requests: link.requests, path: path(link) ?? '', width: Math.max(1, link.width ?? 1), ends };
  });
  return { nodes, links };
}

/** A height at which the busiest column's labels do not touch. */
export function heightFor(graph: FlowGraph): number {
  const most = Math.max(...[0, 1, 2].map((column) => graph.nodes.filter((node) => node.column === column).length), 1);
  return Math.min(Math.max(most * 56 + 44, 220), 800);
}
