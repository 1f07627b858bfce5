/** Choosing and grouping events; where each kind leads. Pure. */
import { day } from './format';
import type { EventKind, GatewayEvent, Severity } from './types/reading';
import type { Tone } from './ui/basics';

export const KINDS: Record<EventKind, { label: string; section: string | null }> = {
  failover: { label: 'Failover', section: 'routing' },
  breaker: { label: 'Breaker', section: 'fleet' },
  throttle: { label: 'Throttling', section: 'fleet' },
  overload: { label: 'Overload', section: 'overview' },
  alarm: { label: 'Alarm', section: 'fleet' },
  guard: { label: 'Inactivity guard', section: 'fleet' },
  fleet: { label: 'Fleet', section: 'fleet' },
  drain: { label: 'Drain', section: 'fleet' },
  config: { label: 'Configuration', section: 'configure' },
  reload: { label: 'Reload', section: 'configure' },
  store: { label: 'Store', section: null },
  process: { label: 'Process', section: null },
};

export const TONES: Record<Severity, Tone> = { info: 'info', warn: 'warn', error: 'error' };

const RANK: Record<Severity, number> = { info: 0, warn: 1, error: 2 };

export interface Wanted {
  kind: EventKind | null;
  /** At least so severe. */
  severity: Severity | null;
  /** Anywhere in text, subject or advice; case does not matter. */
  text: string;
}

export const isKind = (name: string | undefined): name is EventKind => name !== undefined && Object.hasOwn(KINDS, name);
export const isSeverity = (name: string | undefined): name is Severity => name !== undefined && Object.hasOwn(TONES, name);

export function matches(event: GatewayEvent, { kind, severity, text }: Wanted): boolean {
  if (kind !== null && event.kind !== kind) return false;
  if (severity !== null && RANK[event.severity] < RANK[severity]) return false;
  const needle = text.trim().toLowerCase();
  return needle === '' || [event.text, event.subject, event.advice].some((part) => part?.toLowerCase().includes(needle) === true);
}

/** What comes again and again while its cause lasts. */
const REPEATS: ReadonlySet<EventKind> = new Set(['failover', 'breaker', 'throttle']);
/** A longer silence between two of the same is news. */
const FOLD_MS_MAX = 10 * 60_000;

/** An event with those before it that say the same, counts apart: newest first. */
export interface Folded {
  event: GatewayEvent;
  like: GatewayEvent[];
}

/** The same words, whatever the counts: `a request` and `12 requests` are alike. Names of deployments keep their digits. */
const words = ({ kind, severity, subject, text }: GatewayEvent): string =>
  [
    kind,
    severity,
    subject ?? '',
    text.replace(/\b(a|one|\d+)( more)? requests?\b/g, 'requests').replace(/ in the (\d+ )?minutes? before/, ''),
  ].join('|');

/** Puts what repeats itself behind the newest of it, so that one outage is a few lines and not hundreds. Events come newest first. */
export function folded(events: readonly GatewayEvent[]): Folded[] {
  const rows: Folded[] = [];
  const open = new Map<string, Folded>();
  for (const event of events) {
    const key = words(event);
    // A start, or that a breaker closed, parts one incident from another.
    if (event.kind === 'process') open.clear();
    if (event.kind === 'breaker') {
      for (const [other, { event: of }] of open) {
        if (of.kind === 'breaker' && of.subject === event.subject && other !== key) open.delete(other);
      }
    }
    const row = open.get(key);
    const next = row?.like.at(-1) ?? row?.event;
    if (REPEATS.has(event.kind) && row && next && next.at_ms - event.at_ms <= FOLD_MS_MAX) {
      row.like.push(event);
    } else {
      const fresh = { event, like: [] };
      rows.push(fresh);
      open.set(key, fresh);
    }
  }
  return rows;
}

/** Events of one day of the viewer's, in the order they came in. */
export function byDay(events: readonly GatewayEvent[]): { day: string; events: GatewayEvent[] }[] {
  const days: { day: string; events: GatewayEvent[] }[] = [];
  for (const event of events) {
    const name = day(event.at_ms);
    const last = days.at(-1);
    if (last?.day === name) last.events.push(event);
    else days.push({ day: name, events: [event] });
  }
  return days;
}
