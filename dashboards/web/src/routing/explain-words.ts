/** An explanation in sentences: who would be asked, why, and why not the others. Pure. */
import { count, percent, span } from '../format';
import type { Candidate, Explanation } from '../types/state';
import { reasonWords } from './words';

export function summaryOf(explanation: Explanation): string {
  const { candidates, prompt_tokens, total_tokens, homes, key_block, blocks, is_first_turn, unasked } = explanation;
  const first = candidates[0];
  const size = `About ${count(prompt_tokens)} prompt tokens (${is_first_turn ? 'first turn' : 'a later turn'}), ${count(total_tokens)} against a limit.`;
  const key =
    key_block === null
      ? 'No block decides: it is placed by load or by turn.'
      : `It is placed by its first ${count(blocks[key_block]?.tokens ?? 0)} tokens, which have ${homes === 1 ? 'one home' : `${homes} homes`}.`;
  if (!first) return `${size} ${unasked ? unaskedWords(unasked) : 'Nobody can be asked now.'}`;
  const cached =
    first.expected_tokens > 0
      ? `${percent(first.expected_tokens / Math.max(prompt_tokens, 1))} of the prompt should be cached there`
      : 'nothing of it is expected to be cached there';
  return `${size} ${key} It would go to ${first.deployment}: ${reasonWords(first.reason)}, and ${cached}.`;
}

export function unaskedWords(unasked: NonNullable<Explanation['unasked']>): string {
  const after = unasked.retry_after_s === null ? '' : `, to be tried again after ${span(unasked.retry_after_s * 1000)}`;
  const answer = `${unasked.status} (${unasked.code}${after})`;
  if (unasked.waits_up_to_s === null) return `Nobody can be asked now: the client would get ${answer}.`;
  return `Nobody can be asked now: the request would wait up to ${span(unasked.waits_up_to_s * 1000)}, and else get ${answer}.`;
}

/** What is said of a candidate beside its reason. */
export function remarksOn(candidate: Candidate): string[] {
  const { passed_over, probed_in_s, share_of_plans, breaker } = candidate;
  const remarks = [];
  if (passed_over)
    remarks.push(
      `passed over while others have room: ${percent(passed_over.used)} of its limit is used, ${percent(passed_over.filled)} with this request, which may fill it to ${percent(passed_over.full)}`,
    );
  if (probed_in_s !== null)
    remarks.push(
      breaker === 'open' ? `its breaker is open; one request may try it in ${span(probed_in_s * 1000)}` : 'one request tries it now',
    );
  else if (share_of_plans < 1) remarks.push(`it recovers: ${percent(share_of_plans)} of plans count on it by now`);
  return remarks;
}

export function leftOutWords(left: Explanation['left_out'][number]): string {
  const how = left.for_s === null ? 'until it is put back' : `for ${span(left.for_s * 1000)} more`;
  return `${left.deployment} (tier ${left.tier}) is left out: ${left.why.replaceAll('_', ' ')} ${how}`;
}
