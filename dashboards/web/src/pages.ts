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
    load: () => import('./pages/overview/index'),
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
];

/** The section of this id, or the first. */
export function sectionOf(id: string): Section {
  const first = SECTIONS[0];
  if (first === undefined) throw new Error('the page has no sections');
  return SECTIONS.find((section) => section.id === id) ?? first;
}
