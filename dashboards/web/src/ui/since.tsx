/** Says why a chart begins later than the range that was asked for. */
import { utc } from '../format';
import { sinceWords } from '../records';
import { now_ms } from '../state/clock';

export function Since({ ms }: { ms: number | null }) {
  if (ms === null) return null;
  return (
    <span class="muted small" title={utc(ms)}>
      {sinceWords(ms, now_ms.value)}
    </span>
  );
}
