/** The configuration's endpoints: text, checks, what-if, versions, import. */

export interface ConfigText {
  text: string;
  path: string;
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
  token_usd: number;
  hosting_usd: number;
  by_deployment: { deployment: string; requests: number; share: number; hit_ratio: number; tokens: number }[];
}

export interface WhatIf {
  recorded: { requests: number; from_ms: number; to_ms: number; source: 'memory' | 'trace' };
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
  version: number;
  generation: number;
  changes: Change[];
}

export interface Imported {
  yaml: string;
  lines: { line: number; path: string; grade: 'exact' | 'approximate' | 'manual' | 'unsupported'; text: string }[];
  counts: Record<string, number>;
}
