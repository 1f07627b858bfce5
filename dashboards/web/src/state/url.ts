/**
 * The address: section, range and filters live in the URL's hash, so that a view can be shared and the browser's back button works.
 * Range and filters stay when the section changes; a section's own parameters do not.
 */
import { signal } from '@preact/signals';
import type { Scope } from '../api';

export type Params = Readonly<Record<string, string>>;

export interface Place {
  section: string;
  params: Params;
}

export const FILTERS = ['route', 'deployment', 'region', 'client'] as const;
export type Filter = (typeof FILTERS)[number];
const SHARED: readonly string[] = ['range', 'from', 'to', ...FILTERS];

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** The ranges a page may offer, in ms; 400 days is what the store keeps. */
export const RANGES = {
  '15m': 15 * MINUTE_MS,
  '1h': 60 * MINUTE_MS,
  '6h': 360 * MINUTE_MS,
  '24h': DAY_MS,
  '7d': 7 * DAY_MS,
  '30d': 30 * DAY_MS,
  '90d': 90 * DAY_MS,
  '400d': 400 * DAY_MS,
} as const;
export type RangeName = keyof typeof RANGES;

const isRange = (name: string | undefined): name is RangeName => name !== undefined && Object.hasOwn(RANGES, name);

/** `#/latency?range=1h` → its section and parameters. */
export function parsePlace(hash: string): Place {
  const [path = '', search = ''] = hash.replace(/^#?\/?/, '').split('?', 2);
  return { section: path.split('/')[0] ?? '', params: Object.fromEntries(new URLSearchParams(search)) };
}

/** The hash of a place. Parameters without a value are left out. */
export function formatPlace(place: Place): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(place.params)) if (value !== '') search.set(name, value);
  const text = search.toString();
  return `#/${place.section}${text ? `?${text}` : ''}`;
}

/** A fixed stretch from the URL, or `null` when the range follows the present. */
export function fixedRange(params: Params): { from_ms: number; to_ms: number } | null {
  const from_ms = Number(params['from']);
  const to_ms = Number(params['to']);
  return params['from'] && params['to'] && from_ms > 0 && to_ms > from_ms ? { from_ms, to_ms } : null;
}

/** The range a place asks for, or `otherwise`. */
export function rangeOf(params: Params, otherwise: RangeName): RangeName {
  const name = params['range'];
  return isRange(name) ? name : otherwise;
}

/** The stretch of time and the filters that a place asks for, at `now_ms`. */
export function scopeOf(params: Params, otherwise: RangeName, now_ms: number): Scope {
  const fixed = fixedRange(params);
  const scope: Scope = fixed ?? { from_ms: now_ms - RANGES[rangeOf(params, otherwise)], to_ms: now_ms };
  for (const filter of FILTERS) if (params[filter]) scope[filter] = params[filter];
  return scope;
}

/** The parameters that go along to another section. */
export function sharedParams(params: Params): Params {
  return Object.fromEntries(Object.entries(params).filter(([name]) => SHARED.includes(name)));
}

/** `params` with `patch` laid over; an empty string takes a parameter out. */
export function patched(params: Params, patch: Params): Params {
  return Object.fromEntries(Object.entries({ ...params, ...patch }).filter(([, value]) => value !== ''));
}

/** Where the page is. */
export const place = signal<Place>(parsePlace(typeof location === 'undefined' ? '' : location.hash));

/** Follows the browser's address from now on. */
export function followAddress(): void {
  addEventListener('hashchange', () => {
    place.value = parsePlace(location.hash);
  });
}

/** The address of `section` with the present range and filters, and `more`. */
export function linkTo(section: string, more: Params = {}): string {
  return formatPlace({ section, params: patched(sharedParams(place.value.params), more) });
}

/** Changes parameters of this place. `replace` leaves no step to go back to: for what is typed or dragged. */
export function setParams(patch: Params, replace = false): void {
  const next: Place = { section: place.value.section, params: patched(place.value.params, patch) };
  const hash = formatPlace(next);
  if (hash === location.hash) return;
  if (replace) {
    history.replaceState(null, '', hash);
    place.value = next;
  } else {
    location.hash = hash;
  }
}
