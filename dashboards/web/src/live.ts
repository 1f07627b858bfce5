/**
 * The live stream: ticks every two seconds and events as they happen. Read by `fetch`, not `EventSource`, which cannot send
 * `Last-Event-ID` after a refusal nor tell why it failed. A break mends itself with growing waits; what was missed is asked for by id.
 * A page that is hidden for ten seconds lets go of its place (the gateway has 64, and a browser opens six connections to one host) and takes it
 * again when it is seen.
 */
import { signal } from '@preact/signals';
import { API, events } from './api';
import { parser, type Message } from './sse';
import { paused } from './state/pause';
import { loseSession } from './state/session';
import type { GatewayEvent } from './types/reading';
import type { Tick } from './types/state';

export type LiveState = 'connecting' | 'live' | 'reconnecting' | 'stopped';

/** The gateway sends a comment every 15 s; silence of twice that is a broken connection. */
const SILENCE_MS = 35_000;
const WAIT_MS_MIN = 1_000;
const WAIT_MS_MAX = 15_000;
const HIDDEN_MS = 10_000;
/** Newest events kept in memory; older ones are read on demand. */
const EVENTS_MAX = 500;
/** Ten minutes of ticks, for the pages' live ends of charts. */
const TICKS_MAX = 300;

export const liveState = signal<LiveState>('stopped');
export const tick = signal<Tick | null>(null);
/** Newest last. */
export const ticks = signal<readonly Tick[]>([]);
/** Events that came while the page was open, newest first. */
export const liveEvents = signal<readonly GatewayEvent[]>([]);
/** The configuration's generation; pages that show the configuration read again when it changes. */
export const generation = signal<number | null>(null);

/** The newest event that was told, here or in a list; a stream that broke goes on after it. */
let lastId: number | null = null;
let running: AbortController | null = null;

/** `items` with `item` at its end, the oldest let go beyond `max`. */
export function appended<T>(items: readonly T[], item: T, max: number): T[] {
  const next = items.length >= max ? items.slice(items.length - max + 1) : items.slice();
  next.push(item);
  return next;
}

/** Newest first, each id once, at most `max`. */
export function mergedEvents(known: readonly GatewayEvent[], more: readonly GatewayEvent[], max: number): GatewayEvent[] {
  const byId = new Map<number, GatewayEvent>();
  for (const event of known) byId.set(event.id, event);
  for (const event of more) byId.set(event.id, event);
  return [...byId.values()].sort((a, b) => b.id - a.id).slice(0, max);
}

function saw(id: number): void {
  if (Number.isSafeInteger(id)) lastId = Math.max(lastId ?? 0, id);
}

/** Learns which event is the newest, since the stream tells ids only as events happen: one may happen while it is broken for the first time. */
async function learnNewest(stop: AbortSignal): Promise<void> {
  try {
    const newest = (await events({ limit: 1 }, stop)).events[0];
    if (newest !== undefined) saw(newest.id);
  } catch {
    // The sections say so when events cannot be read; without an id the stream begins with what happens next.
  }
}

function take(message: Message): void {
  if (message.id !== null) saw(Number(message.id));
  if (message.event === 'tick') {
    const next = JSON.parse(message.data) as Tick;
    generation.value = next.status.config.generation;
    if (paused.peek()) return;
    tick.value = next;
    ticks.value = appended(ticks.peek(), next, TICKS_MAX);
  } else if (message.event === 'event') {
    liveEvents.value = mergedEvents(liveEvents.peek(), [JSON.parse(message.data) as GatewayEvent], EVENTS_MAX);
  } else if (message.event === 'config') {
    const told: unknown = JSON.parse(message.data);
    if (typeof told === 'object' && told !== null && 'generation' in told && typeof told.generation === 'number') {
      generation.value = told.generation;
    }
  }
}

/** Reads one connection until it ends. Returns whether anything came; throws when it broke. */
async function readOnce(stop: AbortSignal): Promise<boolean> {
  const abort = new AbortController();
  const give = (): void => abort.abort();
  stop.addEventListener('abort', give);
  let silence = setTimeout(give, SILENCE_MS);
  try {
    const response = await fetch(`${API}/live`, {
      headers: { accept: 'text/event-stream', ...(lastId === null ? {} : { 'last-event-id': String(lastId) }) },
      credentials: 'same-origin',
      signal: abort.signal,
    });
    if (response.status === 401) void loseSession();
    if (!response.ok || response.body === null) return false;
    liveState.value = 'live';
    const parse = parser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return true;
      clearTimeout(silence);
      silence = setTimeout(give, SILENCE_MS);
      for (const message of parse(value)) take(message);
    }
  } finally {
    clearTimeout(silence);
    stop.removeEventListener('abort', give);
  }
}

const pause = (ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });

async function run(stop: AbortSignal): Promise<void> {
  let wait_ms = WAIT_MS_MIN;
  if (lastId === null) void learnNewest(stop);
  while (!stop.aborted) {
    let came = false;
    try {
      came = await readOnce(stop);
    } catch {
      // Broken or silent; the state below says so, and the next round tries again.
    }
    if (stop.aborted) return;
    liveState.value = 'reconnecting';
    wait_ms = came ? WAIT_MS_MIN : Math.min(wait_ms * 2, WAIT_MS_MAX);
    await pause(wait_ms * (0.75 + Math.random() / 2), stop);
  }
}

function start(): void {
  if (running !== null) return;
  running = new AbortController();
  liveState.value = 'connecting';
  void run(running.signal);
}

function halt(): void {
  running?.abort();
  running = null;
  liveState.value = 'stopped';
}

/** Listens until the returned function is called. */
export function listen(): () => void {
  let hidden: ReturnType<typeof setTimeout> | undefined;
  const seen = (): void => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(halt, HIDDEN_MS);
    else start();
  };
  document.addEventListener('visibilitychange', seen);
  start();
  return () => {
    document.removeEventListener('visibilitychange', seen);
    clearTimeout(hidden);
    halt();
  };
}
