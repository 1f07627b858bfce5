/** The configuration's endpoints: text, checks, what-if, versions, import. */

export interface ConfigText {
  text: string;
  /** Null where the gateway was started without a file. */
  path: string | null;
  sha256: string;
  generation: number;
  writable: boolean;
  reason: string | null;
  last_error: string | null;
  schema_url: string;
}

export interface Problem {
  severity: 'error' | 'warning' | 'remark';
  path: string;
  line: number | null;
  column: number | null;
  message: string;
  help: string | null;
}

export interface Change {
  text: string;
  needs_restart: boolean;
}

export interface CheckResult {
  ok: boolean;
  problems: Problem[];
  changes: Change[];
  diff: string;
}

export interface WhatIfOutcome {
  requests: number;
  hit_ratio: number;
  cached_tokens: number;
  prompt_tokens: number;
  spills: number;
  refused: number;
  /** Null where a price is not known. */
  token_usd: number | null;
  hosting_usd: number | null;
  by_deployment: { deployment: string; requests: number; share: number; hit_ratio: number; tokens: number }[];
}

export interface WhatIf {
  recorded: { requests: number; from_ms: number; to_ms: number; source: 'memory' | 'trace'; hit_ratio?: number | null };
  today: WhatIfOutcome;
  proposed: WhatIfOutcome;
  notes: string[];
}

export interface ConfigVersion {
  id: number;
  at_ms: number;
  who: string;
  note: string;
  sha256: string;
  current: boolean;
  summary: string;
}

export interface Applied {
  /** Null where the store could not keep it. */
  version: number | null;
  generation: number;
  changes: Change[];
}

export interface Imported {
  yaml: string;
  lines: { line: number; path: string; grade: 'exact' | 'approximate' | 'manual' | 'unsupported'; text: string }[];
  counts: Record<string, number>;
  /** Environment variables that the configuration reads, each with what it is for. */
  variables?: Record<string, string>;
  problems?: { severity: string; path: string; line: number; message: string }[];
}
