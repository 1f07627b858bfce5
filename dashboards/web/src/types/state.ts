/** What the gateway is doing now: session, status, live ticks, fleet, routing, cache, drains. */
import type { Figures, Time } from './reading';

export type Role = 'viewer' | 'operator' | 'admin';

export interface Session {
  signed_in: boolean;
  offers: ('token' | 'oidc')[];
  version: string;
  name?: string;
  role?: Role;
  auth?: 'none' | 'token' | 'oidc';
  config_writable?: boolean;
  config_reason?: string | null;
  demo?: boolean;
}

export interface Alarm {
  kind: string;
  advice: string;
  wants_reconciliation: boolean;
}

/** What looking after the fleet knows of a deployment. */
export interface Care {
  policy: string;
  state: string;
  idle_s: number | null;
  deletion_at: string | null;
  deletion_is_exact: boolean;
  urgency: string;
  next: { action: string; at: string; usd: number | null } | null;
  end: { cause: string; at: string } | null;
  sentence: string | null;
}

export interface DeploymentStatus {
  name: string;
  region: string;
  in_flight: number;
  breaker: string;
  alarm: Alarm | null;
  limit_tokens_per_minute: number | null;
  limit_used: number | null;
  cache_life_s: number;
  cooling_until_ms: number | null;
  drained: boolean;
  drained_until_ms: number | null;
  absent: string | null;
  last_success_at_ms: number | null;
  deletion_at_ms: number | null;
  care?: Care | null;
  last_failure: { at: string; at_ms?: number; outcome: string; status: number | null } | null;
}

export interface PoolStatus {
  name: string;
  deployments: number;
  usable: number;
  regions: string[];
  sent_tokens: number;
  limit_without: Record<string, number>;
  headroom: Record<string, number>;
}

/** What needs somebody, as the gateway judges it. */
export interface Need {
  urgency: 'info' | 'warning' | 'error';
  about: 'gateway' | 'configuration' | 'pool' | 'deployment';
  /** Which one: a deployment's name, or `pool NAME`. */
  subject: string;
  /** What it is, in a word such as `breaker_open`. */
  kind: string;
  advice: string;
  /** When it passes or comes to pass. */
  at_ms: number | null;
}

export interface Status {
  at_ms: number;
  started_at_ms: number;
  ready: boolean;
  draining: boolean;
  version: string;
  requests_running: number;
  config: { generation: number; loaded_at_ms: number; last_error: string | null };
  pools: PoolStatus[];
  deployments: DeploymentStatus[];
  /** Gravest first. */
  needs: Need[];
}

/** What the live stream tells every two seconds. */
export interface Tick {
  at_ms: number;
  status: { ready: boolean; draining: boolean; requests_running: number; config: { generation: number; last_error: string | null } };
  deployments: {
    name: string;
    breaker: string;
    in_flight: number;
    limit_used: number | null;
    drained: boolean;
    absent: string | null;
    cooling_until_ms: number | null;
  }[];
  /** The last interval that is whole: `at_ms` is its beginning, 0 before there was one. */
  last: { at_ms: number; step_ms: number; figures: Figures };
}

export interface FleetDeployment extends DeploymentStatus {
  resource: string;
  pools: string[];
  /** Its priority tier in each pool, from 0. */
  tiers: Record<string, number>;
  /** In its first pool; null where it is in none. */
  weight: number | null;
  weights?: Record<string, number>;
  sku: string | null;
  capacity: number | null;
  model: string | null;
  hosting_usd_per_hour: number | null;
  /** The last 15 minutes; absent where the gateway keeps no history. */
  recent?: Figures | null;
  actions: { drain: boolean; ping: boolean; recreate: boolean; recreate_reason: string | null };
}

export interface FleetRegion {
  name: string;
  deployments: number;
  usable: number;
  requests?: number | null;
  errors?: number | null;
  ttft_p95_ms?: number | null;
  headroom: Record<string, number>;
}

export interface Fleet {
  fleet: Record<string, unknown> | null;
  deployments: FleetDeployment[];
  regions: FleetRegion[];
}

export interface Flow {
  route: string;
  /** `(none)` where none was asked. */
  deployment: string;
  region: string;
  /** In the route's pool, from 0; null where it is not in it any more. */
  tier: number | null;
  requests: number;
  reasons: Record<string, number>;
  errors: number;
}

export interface Flows {
  /** The time they are of; null where no records are kept of it. */
  time: Time | null;
  flows: Flow[];
  spills: Record<string, number>;
  failovers: { from: string; to: string; outcome: string; requests: number }[];
}

export interface RouteInfo {
  name: string;
  aliases: string[];
  pool: string;
  policy: string;
  policy_text?: string;
  /** Its other rules in words. */
  settings?: { name: string; text: string }[];
  in_flight?: number;
  waiting?: number;
}

export interface PoolInfo {
  name: string;
  /** `why` a member cannot be used now, such as `ejected`. */
  tiers: { deployment: string; weight: number; usable: boolean; why?: string | null }[][];
  regions: string[];
  usable: number;
}

/** A prompt's beginning that many requests share, by the first digits of its hash. */
export interface Head {
  digest: string;
  homes: number;
  tokens_per_minute: number;
  /** Who was sent it within the hour, as far as that is remembered. */
  deployments?: string[];
}

export interface Routing {
  routes: RouteInfo[];
  pools: PoolInfo[];
  heads: Head[];
  table: { blocks: number; blocks_max: number; bytes: number };
}

/** What is taken out; `left_s` is null until it is put back. */
export interface Drains {
  drains: { kind: string; name: string; left_s: number | null }[];
}

/** Where a body would go, and why; holds no text of it. */
export interface Explanation {
  route: string;
  pool: string;
  policy: string;
  replicas: number;
  prompt_tokens: number;
  total_tokens: number;
  is_first_turn: boolean;
  blocks: { id: string; tokens: number }[];
  key_block: number | null;
  homes: number;
  warm_tokens: number;
  cache_key: { value: string; keys: number; pays: boolean } | null;
  candidates: Candidate[];
  left_out: { deployment: string; why: string; tier: number; for_s: number | null; until: string | null }[];
  unasked: { waits_up_to_s: number | null; status: number; code: string; retry_after_s: number | null } | null;
}

export interface Candidate {
  deployment: string;
  region: string;
  tier: number;
  reason: string;
  expected_tokens: number;
  limit: number | null;
  room: number | null;
  in_flight: number;
  breaker: string;
  share_of_plans: number;
  probed_in_s: number | null;
  /** Parts of the limit: used now, used with the request, and how full it may be made. */
  passed_over: { used: number; filled: number; full: number } | null;
}

export interface Miss {
  cause: string;
  text: string;
  requests: number;
  tokens: number;
  /** Null where no price is known. */
  usd: number | null;
}

export interface Drift {
  route: string;
  at_tokens: number;
  /** What of a prompt is there: `tools`, `format`, `system` or `message`. */
  segment?: string;
  share: number;
  tokens_a_day?: number;
  usd_a_day?: number | null;
  text: string;
}

export interface Cache {
  /** The hours that the sums are of. */
  from_ms?: number;
  to_ms?: number;
  expected_tokens: number;
  cached_tokens: number;
  prompt_tokens: number;
  misses: Miss[];
  drift: Drift[];
  heads: Head[];
}
