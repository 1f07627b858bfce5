/** Events worth a mark in the charts: those that change what deployments do, from the store and live. */
import { useMemo } from 'preact/hooks';
import * as api from '../../api';
import type { Mark } from '../../chart/marks';
import { liveEvents, mergedEvents } from '../../live';
import { useLoad } from '../../state/load';
import type { Chosen } from '../../state/scope';
import type { EventKind, GatewayEvent } from '../../types/reading';

/** Failovers and throttles are lines of their own in the charts. */
const KINDS: ReadonlySet<EventKind> = new Set(['breaker', 'reload', 'config', 'drain', 'alarm', 'overload', 'guard', 'fleet', 'process']);
const MARKS_MAX = 200;

export function useMarks(range: Chosen): readonly Mark[] {
  const read = useLoad(`marks ${range.key}`, (signal) => {
    const { from_ms, to_ms } = range.scope();
    return api.events({ from_ms, to_ms, limit: MARKS_MAX }, signal);
  });
  const live = range.live ? liveEvents.value : NONE;
  return useMemo(
    () =>
      mergedEvents(read.data?.events ?? [], live, MARKS_MAX)
        .filter((event) => KINDS.has(event.kind))
        .map((event) => ({ at_ms: event.at_ms, colour: event.severity === 'info' ? 'muted' : event.severity, text: event.text })),
    [read.data, live],
  );
}

const NONE: readonly GatewayEvent[] = [];
