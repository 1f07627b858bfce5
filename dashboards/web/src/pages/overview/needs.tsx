/** The strip at the top: what needs somebody, in words with a way there; one quiet line when nothing does. */
import * as api from '../../api';
import { SECTION_OF, TONE_OF, felt, what } from '../../needs';
import { now_ms } from '../../state/clock';
import { useLoad } from '../../state/load';
import { linkTo } from '../../state/url';
import type { Figures } from '../../types/reading';
import { SECTIONS } from '../../pages';
import { Failed, Skeleton } from '../../ui/async';
import { Pill } from '../../ui/basics';

const EVERY_MS = 5_000;
/** The gateway widens what is asked to whole steps of ten seconds: this comes to a minute, give or take five seconds. */
const MINUTE_MS = 55_000;
/** More than this is an outage with one cause; the fleet page shows them all. */
const SHOWN_MAX = 6;

export function Needs() {
  const status = useLoad('status', (signal) => api.status(signal), EVERY_MS);
  const minute = useLoad('minute', (signal) => api.summary({ from_ms: Date.now() - MINUTE_MS, to_ms: Date.now() }, signal), EVERY_MS);
  if (minute.data === null && minute.error === null) return <Skeleton rows={8} />;
  if (status.data === null) return status.error ? <Failed error={status.error} retry={status.reload} /> : <Skeleton rows={8} />;
  const clients = <Clients figures={minute.data?.now ?? null} />;
  const found = status.data.needs;
  const served = minute.data === null || felt(minute.data.now).tone !== 'error';
  if (found.length === 0) {
    return (
      <section class={`needs needs-${served ? 'none' : 'errors'}`} aria-label="What needs you">
        {clients}
        <Pill tone="quiet">Every deployment is in use and the configuration is in force.</Pill>
      </section>
    );
  }
  return (
    <section class="needs" aria-label="What needs you">
      <h2>
        Needs you <span class="muted">{found.length}</span>
      </h2>
      {clients}
      <ul>
        {found.slice(0, SHOWN_MAX).map((need) => (
          <li key={`${need.subject} ${need.kind}`}>
            <Pill tone={TONE_OF[need.urgency]}>
              <span>
                <strong>{need.subject}</strong>: {what(need, now_ms.value)}. <span class="muted">{sentence(need.advice)}</span>
              </span>
            </Pill>
            <a href={linkTo(SECTION_OF[need.about])}>{SECTIONS.find(({ id }) => id === SECTION_OF[need.about])?.title ?? 'Look'}</a>
          </li>
        ))}
      </ul>
      {found.length > SHOWN_MAX && (
        <p>
          <a href={linkTo('fleet')}>{found.length - SHOWN_MAX} more</a>
        </p>
      )}
    </section>
  );
}

/** First of all whether clients suffer; nothing where that cannot be had, which the tiles below say. */
function Clients({ figures }: { figures: Figures | null }) {
  if (figures === null) return null;
  const { tone, text } = felt(figures);
  return (
    <p class="needs-felt">
      <Pill tone={tone}>{text}</Pill>
    </p>
  );
}

/** The gateway's messages begin small and end without a full stop. */
const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
