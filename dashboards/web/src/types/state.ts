/** What the gateway is doing now: session, status, live ticks, fleet, routing, cache, drains. */
import type { Figures } from './reading';

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
  last: Figures | null;
}

export interface FleetDeployment extends DeploymentStatus {
  resource: string;
  pools: string[];
  tiers: Record<string, number>;
  weight: number;
  sku: string | null;
  capacity: number | null;
  model: string | null;
  hosting_usd_per_hour: number | null;
  recent: Figures;
  actions: { drain: boolean; ping: boolean; recreate: boolean; recreate_reason: string | null };
}

export interface FleetRegion {
  name: string;
  deployments: number;
  usable: number;
  requests: number;
  errors: number;
  ttft_p95_ms: number | null;
  headroom: Record<string, number>;
}

export interface Fleet {
  fleet: Record<string, unknown> | null;
  deployments: FleetDeployment[];
  regions: FleetRegion[];
}

export interface Flow {
  route: string;
  deployment: string;
  region: string;
  tier: number;
  requests: number;
  reasons: Record<string, number>;
  errors: number;
}

export interface Flows {
  flows: Flow[];
  spills: Record<string, number>;
  failovers: { from: string; to: string; outcome: string; requests: number }[];
}

export interface RouteInfo {
  name: string;
  aliases: string[];
  pool: string;
  policy: string;
  [setting: string]: unknown;
}

export interface PoolInfo {
  name: string;
  tiers: { deployment: string; weight: number; usable: boolean }[][];
  regions: string[];
  usable: number;
}

export interface Head {
  digest: string;
  homes: number;
  deployments: string[];
  requests: number;
}

export interface Routing {
  routes: RouteInfo[];
  pools: PoolInfo[];
  heads: Head[];
  table: { blocks: number; blocks_max: number; bytes: number };
}

export interface Miss {
  cause: string;
  text: string;
  requests: number;
  tokens: number;
  usd: number;
}

export interface Drift {
  route: string;
  client: string;
  at_tokens: number;
  share: number;
  text: string;
  [more: string]: unknown;
}

export interface Cache {
  expected_tokens: number;
  cached_tokens: number;
  prompt_tokens: number;
  misses: Miss[];
  drift: Drift[];
  heads: Head[];
}
