/** The gateway's words for reasons, policies, outcomes and misses, as sentences that people read. */

/** Why a deployment got a request: `docs/placement.md#reasons`. */
const REASONS: Record<string, string> = {
  warm: 'its cache should have the beginning of the prompt',
  home: 'it is the prompt’s home',
  spill_no_room: 'the one before had no room left',
  spill_throttled: 'the one before rests after a 429',
  spill_ejected: 'the breaker of the one before is open',
  spill_drained: 'the one before was taken out by an operator',
  spill_absent: 'the one before is not there',
  tier: 'no better tier had anybody usable, or room',
  short_prompt: 'the prompt is too short to be cached: by load',
  by_load: 'no cache is at stake: by load',
  turn: 'it was its turn',
  least_busy: 'it was the least busy',
  latency: 'it was the quickest',
  only_choice: 'the pool has no other',
  no_room: 'nobody had room; tried all the same',
  last_resort: 'its breaker is open, and nothing else was left',
  failover: 'an earlier attempt failed elsewhere',
  retry: 'all others failed too',
  hedge: 'an earlier attempt was late',
  pinned: 'it keeps the response that is continued',
  keepalive: 'it would else be deleted for inactivity',
};

const POLICIES: Record<string, string> = {
  nested: 'prompts that begin alike stay together',
  round_robin: 'each in turn, by weight',
  least_busy: 'whoever has the fewest requests in flight',
  head_hash: 'by a hash of the prompt’s beginning',
  latency: 'the quicker of two',
};

/** How an attempt ended: `core/recovery/outcome.rs`. */
const OUTCOMES: Record<string, string> = {
  success: 'answered',
  rejected: 'refused the request itself',
  throttled: 'answered 429',
  failed: 'answered with an error',
  unreachable: 'could not be reached',
  reset: 'broke the connection before it answered',
  timeout: 'did not begin to answer in time',
  unavailable: 'is not there, paused or retired',
  misconfigured: 'does not know the path or API version',
  credential_refused: 'refused the gateway’s credential',
  broken: 'broke off in its answer',
  client_gone: 'was left by the client',
  overtaken: 'was overtaken by another',
  cut_off: 'was cut off as the gateway ended',
};

/** What has become of the one before, and of the request. */
export type FlowKind = 'placed' | 'spilled' | 'failed_over';

const spaced = (word: string): string => word.replaceAll('_', ' ');

export const reasonWords = (reason: string): string => REASONS[reason] ?? spaced(reason);
export const policyWords = (policy: string): string => POLICIES[policy] ?? spaced(policy);
export const outcomeWords = (outcome: string): string => OUTCOMES[outcome] ?? `ended as ${spaced(outcome)}`;

export function kindOfReason(reason: string): FlowKind {
  if (reason.startsWith('spill_') || reason === 'tier' || reason === 'no_room') return 'spilled';
  return ['failover', 'retry', 'hedge', 'last_resort'].includes(reason) ? 'failed_over' : 'placed';
}

export const KIND_WORDS: Record<FlowKind, string> = {
  placed: 'placed as meant',
  spilled: 'spilled: the first choice had no room or could not be used',
  failed_over: 'went on after a failure',
};
