/** The events that fit the filters. New ones come in live unless the page is paused; after a break of the stream they are read again. */
import { useEffect, useRef, useState } from 'preact/hooks';
import * as api from '../../api';
import { byDay, folded, isKind, isSeverity, KINDS, matches, TONES, type Folded, type Wanted } from '../../events';
import { ago, clockSeconds, day, plural, utc } from '../../format';
import { liveEvents, liveState, mergedEvents } from '../../live';
import { SECTIONS } from '../../pages';
import { now_ms } from '../../state/clock';
import { useLoad } from '../../state/load';
import { paused } from '../../state/pause';
import { linkTo, place, setParams } from '../../state/url';
import type { EventKind, GatewayEvent, Severity } from '../../types/reading';
import { Async } from '../../ui/async';
import { Button, Pill } from '../../ui/basics';
import { toast } from '../../ui/toast';
import { Filter } from './filter';

const PAGE = 100;
/** Older ones are let go beyond this: a page left open must not grow. */
const SHOWN_MAX = 2_000;

export function EventList() {
  const { params } = place.value;
  const kind = isKind(params['kind']) ? params['kind'] : null;
  const severity = isSeverity(params['severity']) ? params['severity'] : null;
  const wanted: Wanted = { kind, severity, text: params['text'] ?? '' };
  const asked = { kind: kind ?? undefined, severity: severity ?? undefined, limit: PAGE };
  const key = `events|${kind ?? ''} ${severity ?? ''}`;
  const first = useLoad(key, (signal) => api.events(asked, signal));
  const older = useOlder(key, asked);
  useMended(first.reload);

  const live = useHeld(liveEvents.value);
  const known = mergedEvents([...(first.data?.events ?? []), ...older.events], live, SHOWN_MAX);
  const shown = known.filter((event) => matches(event, wanted));
  const waiting = liveEvents.value.length - live.length;

  return (
    <>
      <Filter kind={kind} severity={severity} text={wanted.text} />
      {waiting > 0 && <p class="muted">{plural(waiting, 'new event')} while paused.</p>}
      <Async of={first} rows={60}>
        {() => (
          <>
            {shown.length === 0 && (
              <p class="empty">{known.length === 0 ? 'Nothing has happened yet.' : 'No event here fits; older ones may.'}</p>
            )}
            {byDay(shown).map((group) => (
              <section key={group.day} class="card event-day" aria-label={group.day}>
                <h2>{dayName(group.day)}</h2>
                <ol>
                  {folded(group.events).map(({ event, like }) => (
                    // The oldest names the row: newer ones join at the top, and the row stays open.
                    <Row key={(like.at(-1) ?? event).id} event={event} like={like} />
                  ))}
                </ol>
              </section>
            ))}
            <div class="row">
              <Button busy={older.busy} disabled={older.done || known.length === 0} onClick={() => older.more(known.at(-1))}>
                {older.done ? 'No older events' : 'Load older'}
              </Button>
              <span class="muted">{plural(shown.length, 'event')} shown</span>
            </div>
          </>
        )}
      </Async>
    </>
  );
}

function dayName(name: string): string {
  if (name === day(now_ms.value)) return `Today, ${name}`;
  return name === day(now_ms.value - 86_400_000) ? `Yesterday, ${name}` : name;
}

interface Older {
  events: readonly GatewayEvent[];
  busy: boolean;
  done: boolean;
  more: (oldest: GatewayEvent | undefined) => void;
}

/** Older pages, forgotten when the filter changes. */
function useOlder(key: string, asked: { kind: EventKind | undefined; severity: Severity | undefined; limit: number }): Older {
  const [kept, setKept] = useState<{ key: string; events: readonly GatewayEvent[]; done: boolean }>({ key, events: [], done: false });
  const [busy, setBusy] = useState(false);
  const current = kept.key === key ? kept : { key, events: [], done: false };
  const more = (oldest: GatewayEvent | undefined): void => {
    setBusy(true);
    api.events({ ...asked, before_id: oldest?.id }).then(
      ({ events }) => {
        setKept({ key, events: mergedEvents(current.events, events, SHOWN_MAX), done: events.length < PAGE });
        setBusy(false);
      },
      (error: unknown) => {
        toast(`Older events could not be read: ${error instanceof Error ? error.message : String(error)}`, 'error');
        setBusy(false);
      },
    );
  };
  return { events: current.events, busy, done: current.done, more };
}

/** Reads again when the stream is back after a break: what came in between may be more than the stream gives again. */
function useMended(reload: () => void): void {
  const broken = useRef(false);
  const state = liveState.value;
  useEffect(() => {
    if (state === 'live' && broken.current) reload();
    broken.current = state !== 'live';
  }, [state, reload]);
}

/** The events as they were when the page was paused. */
function useHeld(events: readonly GatewayEvent[]): readonly GatewayEvent[] {
  const held = useRef(events);
  if (!paused.value) held.current = events;
  return held.current;
}

function Row({ event, like }: Folded) {
  const { label, section } = KINDS[event.kind];
  const target = SECTIONS.find(({ id }) => id === section);
  return (
    <li class="event">
      <time dateTime={new Date(event.at_ms).toISOString()} title={`${utc(event.at_ms)}, ${ago(event.at_ms, now_ms.value)}`}>
        {clockSeconds(event.at_ms)}
      </time>
      <span class="event-severity">
        <Pill tone={TONES[event.severity]}>
          <span class="hidden">{event.severity}</span>
        </Pill>
      </span>
      <button type="button" class="event-kind" title={`Only ${label}`} onClick={() => setParams({ kind: event.kind })}>
        {label}
      </button>
      <div class="event-text">
        <p>{event.text}</p>
        {event.advice && <p class="muted">{event.advice}</p>}
        {like.length > 0 && <Like events={like} />}
      </div>
      {target && (
        <a href={linkTo(target.id)} class="event-link">
          {target.title}
        </a>
      )}
    </li>
  );
}

/** Those that said the same before. */
function Like({ events }: { events: readonly GatewayEvent[] }) {
  const oldest = events.at(-1);
  return (
    <details class="event-like">
      <summary>
        {plural(events.length, 'more like it', 'more like it')}, since {oldest ? clockSeconds(oldest.at_ms) : ''}
      </summary>
      <ul>
        {events.map(({ id, at_ms, text }) => (
          <li key={id}>
            <time dateTime={new Date(at_ms).toISOString()} title={utc(at_ms)}>
              {clockSeconds(at_ms)}
            </time>{' '}
            {text}
          </li>
        ))}
      </ul>
    </details>
  );
}
