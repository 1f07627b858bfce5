/**
 * The sections of the page, in the order of the navigation. Each is a chunk of its own, read when it is first opened. `key` opens it
 * after `g`. `ranges` empty: the page shows the present, and the range picker is hidden; likewise `filters`.
 */
import type { ComponentType } from 'preact';
import type { Filter, RangeName } from './state/url';
import { FILTERS } from './state/url';
import type { IconName } from './ui/icon';

export interface Section {
  id: string;
  title: string;
  key: string;
  icon: IconName;
  ranges: readonly RangeName[];
  range: RangeName;
  filters: readonly Filter[];
  load: () => Promise<{ default: ComponentType }>;
}

const RECENT: readonly RangeName[] = ['15m', '1h', '6h', '24h', '7d', '30d'];

export const SECTIONS: readonly Section[] = [
  {
    id: 'overview',
    title: 'Overview',
    key: 'o',
    icon: 'overview',
    ranges: RECENT,
    range: '1h',
    filters: FILTERS,
    load: () => import('./pages/overview'),
  },
  {
    id: 'latency',
    title: 'Latency',
    key: 'l',
    icon: 'latency',
    ranges: RECENT,
    range: '1h',
    filters: FILTERS,
    load: () => import('./pages/latency/index'),
  },
  {
    id: 'fleet',
    title: 'Fleet',
    key: 'f',
    icon: 'fleet',
    ranges: [],
    range: '15m',
    filters: ['deployment', 'region'],
    load: () => import('./pages/fleet'),
  },
  {
    id: 'routing',
    title: 'Routing',
    key: 'r',
    icon: 'routing',
    ranges: RECENT,
    range: '1h',
    filters: FILTERS,
    load: () => import('./pages/routing'),
  },
  {
    id: 'configure',
    title: 'Configure',
    key: 'c',
    icon: 'configure',
    ranges: [],
    range: '1h',
    filters: [],
    load: () => import('./pages/configure'),
  },
  {
    id: 'cache',
    title: 'Cache',
    key: 'a',
    icon: 'cache',
    ranges: RECENT,
    range: '1h',
    filters: FILTERS,
    load: () => import('./pages/cache'),
  },
  {
    id: 'usage',
    title: 'Usage and cost',
    key: 'u',
    icon: 'usage',
    ranges: ['24h', '7d', '30d', '90d', '400d'],
    range: '7d',
    filters: FILTERS,
    load: () => import('./pages/usage/index'),
  },
  {
    id: 'events',
    title: 'Events',
    key: 'e',
    icon: 'events',
    ranges: [],
    range: '1h',
    filters: [],
    load: () => import('./pages/events/index'),
  },
  {
    id: 'import',
    title: 'Import',
    key: 'i',
    icon: 'import',
    ranges: [],
    range: '1h',
    filters: [],
    load: () => import('./pages/import'),
  },
];

/** The section of this id, or the first. */
export function sectionOf(id: string): Section {
  const first = SECTIONS[0];
  if (first === undefined) throw new Error('the page has no sections');
  return SECTIONS.find((section) => section.id === id) ?? first;
}
