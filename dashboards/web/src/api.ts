/**
 * The API's calls, typed. Paths are relative, so that the page works behind a path prefix. A refusal becomes an `ApiError` with the
 * gateway's own words; a lost session tells the shell to ask for a new sign-in.
 */
import type {
  AuditEntry,
  Costs,
  EventKind,
  GatewayEvent,
  Heatmap,
  LatencyOf,
  Series,
  SeriesBy,
  Severity,
  SlowRequest,
  Summary,
  UsageBy,
  Usage,
} from './types/reading';
import type { Applied, CheckResult, ConfigText, ConfigVersion, Imported, WhatIf } from './types/config';
import type { Schema } from './configure/schema';
import type { Cache, Drains, Explanation, Fleet, Flows, Routing, Session, Status } from './types/state';

export const API = 'api/v1';

/** The stretch of time and the filters that every read takes. */
export interface Scope {
  from_ms: number;
  to_ms: number;
  route?: string | undefined;
  deployment?: string | undefined;
  region?: string | undefined;
  client?: string | undefined;
}

type Query = Record<string, string | number | undefined>;

/** Why a call failed. `status` is 0 when no answer came. `body` is the parsed answer, where there was one. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string | null,
    readonly body: unknown,
  ) {
    super(message);
  }
}

let onSignedOut: () => void = () => undefined;

/** Sets what happens when the gateway answers 401. */
export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

/** `path?a=b`, without the members that are not set. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') search.set(name, String(value));
  const text = search.toString();
  return `${API}/${path}${text ? `?${text}` : ''}`;
}

function errorOf(status: number, body: unknown): ApiError {
  const envelope = typeof body === 'object' && body !== null && 'error' in body ? body.error : null;
  const member = (name: string): string | null => {
    if (typeof envelope !== 'object' || envelope === null) return null;
    const value: unknown = Reflect.get(envelope, name);
    return typeof value === 'string' ? value : null;
  };
  return new ApiError(status, member('message') ?? `the gateway answered ${status}`, member('code'), body);
}

/** Sends one call and parses the answer as JSON; 204 and empty answers are `undefined`. */
async function send<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET') headers['x-emberway-csrf'] = '1';
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, 'the gateway does not answer; is it running, and can this browser reach it?', null, null);
  }
  const text = await response.text();
  let parsed: unknown;
  try {
    parsed = text === '' ? undefined : JSON.parse(text);
  } catch {
    throw new ApiError(response.status, `the answer to ${url} is not JSON (status ${response.status})`, null, text);
  }
  if (response.ok) return parsed as T;
  if (response.status === 401) onSignedOut();
  throw errorOf(response.status, parsed);
}

const get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> => send<T>('GET', address(path, query), undefined, signal);
const post = <T>(path: string, body: unknown, query?: Query, signal?: AbortSignal): Promise<T> =>
  send<T>('POST', address(path, query), body, signal);
const remove = <T>(path: string, query?: Query): Promise<T> => send<T>('DELETE', address(path, query));

// Session.
export const session = (signal?: AbortSignal): Promise<Session> => get('session', {}, signal);
export const signIn = (token: string): Promise<Session | undefined> => post('session', { token });
export const signOut = (): Promise<undefined> => remove('session');

// Readings.
export const status = (signal?: AbortSignal): Promise<Status> => get('status', {}, signal);

/**
 * The gateway answers in whole steps, which reach beyond what was asked. What is drawn stays the range asked for; the last step has run to its end,
 * wherever the range ends, or until now.
 */
export async function series(scope: Scope, by: SeriesBy, points: number, signal?: AbortSignal): Promise<Series> {
  const now_ms = Date.now();
  const told = await get<Series>('series', { ...scope, by, points }, signal);
  const from_ms = Math.max(told.from_ms, scope.from_ms);
  return { ...told, from_ms, to_ms: Math.min(told.to_ms, scope.to_ms), ran_to_ms: Math.min(told.to_ms, now_ms) };
}

export const summary = (scope: Scope, signal?: AbortSignal): Promise<Summary> => get('summary', { ...scope }, signal);
export const heatmap = (scope: Scope, of: LatencyOf, signal?: AbortSignal): Promise<Heatmap> => get('heatmap', { ...scope, of }, signal);
export const slowest = (scope: Scope, of: LatencyOf, limit: number, signal?: AbortSignal): Promise<{ requests: SlowRequest[] }> =>
  get('requests/slowest', { ...scope, of, limit }, signal);
export const usage = (scope: Scope, by: UsageBy, signal?: AbortSignal): Promise<Usage> => get('usage', { ...scope, by }, signal);
export const costs = (scope: Scope, signal?: AbortSignal): Promise<Costs> => get('costs', { ...scope }, signal);
export interface EventQuery {
  kind?: EventKind | undefined;
  severity?: Severity | undefined;
  limit?: number;
  before_id?: number | undefined;
  from_ms?: number;
  to_ms?: number;
}
export const events = (query: EventQuery, signal?: AbortSignal): Promise<{ events: GatewayEvent[] }> => get('events', { ...query }, signal);
export const audit = (limit: number, signal?: AbortSignal): Promise<{ entries: AuditEntry[] }> => get('audit', { limit }, signal);

// Fleet, routing, cache.
export const fleet = (signal?: AbortSignal): Promise<Fleet> => get('fleet', {}, signal);
export const flows = (scope: Scope, signal?: AbortSignal): Promise<Flows> => get('flows', { ...scope }, signal);
export const routing = (signal?: AbortSignal): Promise<Routing> => get('routing', {}, signal);
export const cache = (scope: Scope, signal?: AbortSignal): Promise<Cache> => get('cache', { ...scope }, signal);
export const explain = (client: string, chatBody: string, signal?: AbortSignal): Promise<Explanation> =>
  post('explain', chatBody, { client }, signal);
export const drains = (signal?: AbortSignal): Promise<Drains> => get('drains', {}, signal);
export const drain = (body: { kind: string; name: string; for_s?: number; force: boolean }): Promise<Drains> => post('drains', body);
export const undrain = (kind: string, name: string): Promise<Drains> => remove('drains', { kind, name });
export interface Pinged {
  outcome: string;
  status: number | null;
  took_ms: number;
  text: string;
}
export const ping = (deployment: string): Promise<Pinged> => post('deployments/ping', { deployment });
export const recreate = (deployment: string, confirm: string): Promise<unknown> => post('deployments/recreate', { deployment, confirm });

// Configuration.
export const config = (signal?: AbortSignal): Promise<ConfigText> => get('config', {}, signal);
export const configSchema = (signal?: AbortSignal): Promise<Schema> => get('config/schema', {}, signal);
export const checkConfig = (text: string, signal?: AbortSignal): Promise<CheckResult> => post('config/check', { text }, {}, signal);
export const whatIf = (text: string, window_s: number, signal?: AbortSignal): Promise<WhatIf> =>
  post('config/what-if', { text, window_s }, {}, signal);
export const applyConfig = (text: string, base_sha256: string, note: string): Promise<Applied> =>
  post('config/apply', { text, base_sha256, note });
export const configVersions = (signal?: AbortSignal): Promise<{ versions: ConfigVersion[] }> => get('config/versions', {}, signal);
export const configVersion = (id: number, signal?: AbortSignal): Promise<ConfigVersion & { text: string }> =>
  get(`config/versions/${id}`, {}, signal);
export const restoreConfig = (id: number, base_sha256: string, note: string): Promise<Applied> =>
  post(`config/versions/${id}/restore`, { base_sha256, note });
export const importConfig = (from: string, text: string, signal?: AbortSignal): Promise<Imported> =>
  post('import', { from, text }, {}, signal);
