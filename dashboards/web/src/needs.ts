/** What needs a person now, and whether clients suffer, in words. Pure. */
import { count, duration, percent, plural, span } from './format';
import { errorShare } from './figures';
import type { Figures } from './types/reading';
import type { Need } from './types/state';

/** The section that shows more of it. */
export const SECTION_OF: Readonly<Record<Need['about'], string>> = {
  gateway: 'events',
  configuration: 'configure',
  pool: 'fleet',
  deployment: 'fleet',
};

/** Its look. */
export const TONE_OF = { info: 'info', warning: 'warn', error: 'error' } as const satisfies Record<Need['urgency'], string>;

/** What it is, in words, with the time that is left where that is known. */
export function what(need: Need, now_ms: number): string {
  const left = need.at_ms === null ? '' : ` (${span(need.at_ms - now_ms)} left)`;
  return `${need.kind.replaceAll('_', ' ')}${left}`;
}

/** What clients notice of it all. */
export interface Felt {
  tone: 'ok' | 'warn' | 'error' | 'quiet';
  text: string;
}

/** Failures beyond this part of the requests are no accident of one. */
const FELT_SHARE = 0.01;

/** The last minute as clients see it: whether they are served, which what is broken does not tell. */
export function felt(minute: Pick<Figures, 'requests' | 'errors' | 'failovers' | 'ttft_p95_ms' | 'total_p95_ms'>): Felt {
  const { requests, errors, failovers } = minute;
  if (requests === 0) return { tone: 'quiet', text: 'No requests in the last minute.' };
  const rescued = failovers > 0 ? `, ${count(failovers)} went on elsewhere` : '';
  const p95 = minute.ttft_p95_ms ?? minute.total_p95_ms;
  const took = p95 === null ? '' : `; ${minute.ttft_p95_ms === null ? 'whole request' : 'first token'} p95 ${duration(p95)}`;
  if (errors === 0)
    return { tone: 'ok', text: `Clients are served: ${plural(requests, 'request')} in the last minute, none failed${rescued}${took}.` };
  const part = errorShare(minute);
  return {
    tone: (part ?? 0) > FELT_SHARE ? 'error' : 'warn',
    text: `Clients see errors: ${count(errors)} of ${plural(requests, 'request')} failed in the last minute (${percent(part)})${rescued}${took}.`,
  };
}
