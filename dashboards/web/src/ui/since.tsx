/** Says why a chart begins later than the range that was asked for. */
import { clockSeconds, day, moment, utc } from '../format';
import { now_ms } from '../state/clock';

export function Since({ ms }: { ms: number | null }) {
  if (ms === null) return null;
  const isToday = day(ms) === day(now_ms.value);
  return (
    <span class="muted small" title={utc(ms)}>
      Records begin at {isToday ? clockSeconds(ms) : moment(ms)}: so do charts and rates.
    </span>
  );
}
