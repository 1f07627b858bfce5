/** Where a request's time went, as rows on one time line. Pure: the request in, rows out; drawing is `chart/waterfall.tsx`. */
import type { SlowRequest } from './types/reading';

export interface Part {
  kind: 'body' | 'queue' | 'waiting' | 'answering' | 'failed';
  from_ms: number;
  to_ms: number;
}

export interface Row {
  label: string;
  /** What came of it, in words. */
  text: string;
  failed: boolean;
  parts: Part[];
}

/** Shorter is not worth a row. */
const ROW_MS_MIN = 0.05;

export function waterfall(request: SlowRequest): Row[] {
  const rows: Row[] = [];
  if (request.body_ms >= ROW_MS_MIN) {
    rows.push({ label: 'body read', text: '', failed: false, parts: [{ kind: 'body', from_ms: 0, to_ms: request.body_ms }] });
  }
  if (request.queue_ms >= ROW_MS_MIN) {
    const from_ms = request.body_ms;
    const text = 'waited for room';
    rows.push({ label: 'queue', text, failed: false, parts: [{ kind: 'queue', from_ms, to_ms: from_ms + request.queue_ms }] });
  }
  for (const attempt of request.attempts) {
    const answered_ms = attempt.began_ms + attempt.headers_ms;
    const end_ms = attempt.began_ms + Math.max(attempt.total_ms, attempt.headers_ms);
    const parts: Part[] = attempt.answers
      ? [
          { kind: 'waiting', from_ms: attempt.began_ms, to_ms: answered_ms },
          { kind: 'answering', from_ms: answered_ms, to_ms: end_ms },
        ]
      : [{ kind: 'failed', from_ms: attempt.began_ms, to_ms: end_ms }];
    const status = attempt.status > 0 ? ` (${attempt.status})` : '';
    const retry = attempt.retry_after_ms === null ? '' : `, asked to wait ${Math.round(attempt.retry_after_ms / 100) / 10} s`;
    const text = `${words(attempt.reason)}: ${words(attempt.outcome)}${status}${retry}`;
    rows.push({ label: attempt.deployment, text, failed: !attempt.answers, parts });
  }
  return rows;
}

/** The end of the time line: the request's end, or what lasted longer. */
export function lastMoment(request: SlowRequest, rows: readonly Row[]): number {
  return Math.max(request.total_ms, ...rows.flatMap((row) => row.parts.map((part) => part.to_ms)), 0.001);
}

/** `spill_no_room` → `spill no room`. */
export const words = (name: string): string => name.replaceAll('_', ' ');
