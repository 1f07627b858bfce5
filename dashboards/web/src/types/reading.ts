/** What the read endpoints answer: figures, series, latency, events, usage. Times are `*_ms` since 1970, money is US dollars. */

/** Counts and percentiles of a stretch of time; percentiles are absent where nothing was measured. */
export interface Figures {
  requests: number;
  errors: number;
  throttled: number;
  attempts: number;
  failovers: number;
  prompt_tokens: number;
  cached_tokens: number;
  /** Prompt tokens that could have been cached, since they were sent before. */
  expected_tokens: number;
  completion_tokens: number;
  token_usd: number;
  saved_usd: number;
  hosting_usd?: number;
  ttft_p50_ms: number | null;
  ttft_p95_ms: number | null;
  ttft_p99_ms: number | null;
  total_p50_ms: number | null;
  total_p95_ms: number | null;
  total_p99_ms: number | null;
  overhead_p50_ms: number | null;
  overhead_p95_ms: number | null;
  overhead_p99_ms: number | null;
  outcomes: Record<string, number>;
  reasons: Record<string, number>;
}

/** The members of `Figures` that a series has a point of in each step. */
export type CountMember =
  | 'requests'
  | 'errors'
  | 'throttled'
  | 'attempts'
  | 'failovers'
  | 'prompt_tokens'
  | 'cached_tokens'
  | 'expected_tokens'
  | 'completion_tokens'
  | 'token_usd'
  | 'saved_usd';
export type LatencyOf = 'ttft' | 'total' | 'overhead';
export type LatencyMember = `${LatencyOf}_p${50 | 95 | 99}_ms`;

export type Points = Record<CountMember, number[]> & Record<LatencyMember, (number | null)[]>;

export type SeriesBy = 'none' | 'route' | 'deployment' | 'region' | 'client';

export interface SeriesGroup {
  key: string;
  label: string;
  total: Figures;
  points: Points;
}

export interface Series {
  from_ms: number;
  to_ms: number;
  step_ms: number;
  starts_ms: number[];
  groups: SeriesGroup[];
  /** Until when the last step has run: beyond `to_ms` where a range ends within a step. */
  ran_to_ms: number;
  /** Where the records begin, if that is within the series: nothing is known of the time before. */
  since_ms?: number;
}

/** The time that figures are really of. */
export interface Time {
  from_ms: number;
  to_ms: number;
}

export interface Summary {
  now: Figures;
  /** Longer or shorter than asked, as is kept; null where no records are kept, and `now` says nothing. */
  now_time: Time | null;
  before: Figures;
  before_time: Time | null;
  /** If not, records of a part of the time before are gone, and nothing is compared. */
  before_is_whole: boolean;
  /** Hosting is null where no price is known, or a route or client is looked at. */
  money: { hosting_usd_per_hour: number | null; token_usd: number; saved_usd: number };
}

export interface Heatmap {
  step_ms: number;
  starts_ms: number[];
  /** Upper bounds; the last cell of each column holds what is above the last bound or equal to it. */
  bounds_ms: number[];
  counts: number[][];
}

export interface SlowAttempt {
  deployment: string;
  region: string;
  reason: string;
  outcome: string;
  status: number;
  began_ms: number;
  headers_ms: number;
  total_ms: number;
  retry_after_ms: number | null;
  answers: boolean;
}

export interface SlowRequest {
  id: string;
  at_ms: number;
  client: string;
  route: string;
  deployment: string | null;
  region: string | null;
  operation: string;
  streamed: boolean;
  outcome: string;
  status: number;
  reason: string;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  first_byte_ms: number | null;
  first_token_ms: number | null;
  total_ms: number;
  overhead_ms: number;
  body_ms: number;
  queue_ms: number;
  attempts: SlowAttempt[];
}

export type Severity = 'info' | 'warn' | 'error';
export type EventKind =
  'failover' | 'breaker' | 'throttle' | 'reload' | 'drain' | 'guard' | 'alarm' | 'overload' | 'store' | 'config' | 'fleet' | 'process';

/** One thing that happened, in words. `id` only grows, over restarts too. */
export interface GatewayEvent {
  id: number;
  at_ms: number;
  severity: Severity;
  kind: EventKind;
  subject: string | null;
  text: string;
  advice: string | null;
}

export interface AuditEntry {
  at_ms: number;
  who: string;
  action: string;
  subject: string;
  result: string;
  text: string | null;
}

export type UsageBy = 'client' | 'route' | 'deployment' | 'region' | 'day';

export interface UsageRow {
  key: string;
  requests: number;
  errors: number;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  token_usd: number;
  saved_usd: number;
  /** Requests to deployments without a price: with any, the amounts are too low. */
  unpriced_requests: number;
}

export interface Usage {
  rows: UsageRow[];
  total: UsageRow;
  /** There is more than one answer holds. */
  truncated: boolean;
}

export interface CostRow {
  deployment: string;
  hours: number;
  hosting_usd: number;
  token_usd: number;
  keepalive_usd: number;
  saved_usd: number;
  total_usd: number;
  requests: number;
  usd_per_1k_requests: number | null;
  /** A price is not known, so it costs at least so much. */
  is_partial: boolean;
  advice: string | null;
}

/** What the month that now is in will cost. */
export interface Forecast {
  ends_ms: number;
  spent_usd: number;
  hosting_usd: number;
  token_usd: number;
  total_usd: number;
  is_partial: boolean;
}

/** Something worth knowing of costs; `of` is a deployment or route, or empty. */
export interface Finding {
  kind: string;
  of: string;
  usd: number;
  text: string;
}

/** Whole days in UTC. */
export interface Costs {
  from_ms: number;
  to_ms: number;
  rows: CostRow[];
  total: CostRow;
  forecast: Forecast | null;
  findings: Finding[];
}
