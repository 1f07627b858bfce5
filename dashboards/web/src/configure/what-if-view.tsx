/** Plays the last requests through the configuration in use and through the edited one, and sets the two side by side. */
import { useEffect, useRef, useState } from 'preact/hooks';
import * as api from '../api';
import { NONE, clock, count, percent, plural, signed, usd } from '../format';
import type { WhatIf, WhatIfOutcome } from '../types/config';
import { Button, Field, Note } from '../ui/basics';
import { Words } from '../ui/words';
import { compared } from './what-if';
import { text } from './store';

const WINDOWS: readonly { label: string; s: number }[] = [
  { label: 'the last 15 minutes', s: 900 },
  { label: 'the last hour', s: 3_600 },
  { label: 'the last 6 hours', s: 21_600 },
  { label: 'the last 24 hours', s: 86_400 },
];

/** What was played last, with its text: it is kept while the page lives, and is out of date when the text changes. */
let kept: { text: string; result: WhatIf } | null = null;

const NOT_PLAYED = 'both columns are played: outages, drains and failures of that time are not in them';

export function WhatIfView() {
  const [window_s, setWindow] = useState(3_600);
  const [result, setResult] = useState(kept);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const play = async (): Promise<void> => {
    const asked = text.peek();
    const abort = new AbortController();
    running.current = abort;
    setBusy(true);
    setError(null);
    try {
      kept = { text: asked, result: await api.whatIf(asked, window_s, abort.signal) };
      setResult(kept);
    } catch (failure) {
      if (!abort.signal.aborted) setError(failure instanceof Error ? failure : new Error(String(failure)));
    }
    setBusy(false);
  };
  return (
    <div class="stack">
      <form
        class="row what-if-form"
        onSubmit={(event) => {
          event.preventDefault();
          void play();
        }}
      >
        <Field id="what-if-window" label="Play again">
          <select id="what-if-window" value={window_s} onChange={(event) => setWindow(Number(event.currentTarget.value))}>
            {WINDOWS.map(({ label, s }) => (
              <option key={s} value={s}>
                {label}
              </option>
            ))}
          </select>
        </Field>
        <Button kind="primary" type="submit" busy={busy}>
          {busy ? 'Playing…' : 'Play'}
        </Button>
        {busy && <Button onClick={() => (running.current?.abort(), setBusy(false))}>Stop</Button>}
      </form>
      <div aria-live="polite" class="stack">
        {error && (
          <Note tone={error instanceof api.ApiError && error.code === 'nothing_recorded' ? 'info' : 'error'}>
            <Words text={error.message} />
          </Note>
        )}
        {result === null ? (
          !error && (
            <p class="muted">Nothing was played yet. No request is sent anywhere: lengths and hashes of what came are placed again.</p>
          )
        ) : (
          <>
            {result.text !== text.value && <Note tone="warn">The text has changed since this was played.</Note>}
            <Result result={result.result} />
          </>
        )}
      </div>
    </div>
  );
}

function Result({ result }: { result: WhatIf }) {
  const { recorded, today, proposed, notes } = result;
  const isEmpty = recorded.requests === 0;
  return (
    <>
      <p>
        {isEmpty
          ? 'Nothing was recorded in that time.'
          : `${plural(recorded.requests, 'request')} from ${clock(recorded.from_ms)} to ${clock(recorded.to_ms)}, from the ${recorded.source === 'trace' ? 'trace file' : 'gateway’s memory'}.${recorded.hit_ratio == null ? '' : ` Their answers really reported ${percent(recorded.hit_ratio)} cached.`}`}
      </p>
      {!isEmpty && (
        <>
          <Outcomes today={today} proposed={proposed} />
          <Shares today={today} proposed={proposed} />
        </>
      )}
      <ul class="what-if-notes muted small">
        {[NOT_PLAYED, ...notes].map((note) => (
          <li key={note}>
            <Words text={note} />
          </li>
        ))}
      </ul>
    </>
  );
}

function Outcomes({ today, proposed }: { today: WhatIfOutcome; proposed: WhatIfOutcome }) {
  return (
    <div class="table-box" role="region" aria-label="Today against proposed" tabIndex={0}>
      <table class="table what-if">
        <thead>
          <tr>
            <th scope="col">Played again</th>
            <th scope="col" class="right">
              Today’s, played
            </th>
            <th scope="col" class="right">
              Proposed, played
            </th>
            <th scope="col" class="right">
              Change
            </th>
          </tr>
        </thead>
        <tbody>
          {compared(today, proposed).map(({ name, unit, before, after, verdict }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="right">{shown(unit, before)}</td>
              <td class="right">{shown(unit, after)}</td>
              <td class={`right change-${verdict}`}>
                {changed(unit, before, after)}
                {verdict !== 'same' && <span> {verdict === 'better' ? '▲ better' : '▼ worse'}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Shares({ today, proposed }: { today: WhatIfOutcome; proposed: WhatIfOutcome }) {
  const names = [...new Set([...today.by_deployment, ...proposed.by_deployment].map(({ deployment }) => deployment))];
  const share = (outcome: WhatIfOutcome, name: string): number =>
    outcome.by_deployment.find(({ deployment }) => deployment === name)?.share ?? 0;
  return (
    <section class="stack" aria-label="Share by deployment">
      <h3>Share by deployment</h3>
      <ul class="share-pairs">
        {names.map((name) => (
          <li key={name}>
            <span>{name}</span>
            <span class="share-figure">
              {percent(share(today, name))} → <b>{percent(share(proposed, name))}</b>
            </span>
            <span class="share-bars" aria-hidden="true">
              <span class="share-today" style={{ width: `${share(today, name) * 100}%` }} />
              <span class="share-proposed" style={{ width: `${share(proposed, name) * 100}%` }} />
            </span>
          </li>
        ))}
      </ul>
      <p class="flow-legend muted small" aria-hidden="true">
        <span class="share-key share-today" /> today <span class="share-key share-proposed" /> proposed
      </p>
    </section>
  );
}

const shown = (unit: 'share' | 'count' | 'usd', value: number | null): string =>
  unit === 'share' ? percent(value) : unit === 'usd' ? usd(value) : count(value);

function changed(unit: 'share' | 'count' | 'usd', before: number | null, after: number | null): string {
  if (before === null || after === null) return NONE;
  if (unit === 'share') return points(after - before);
  if (before === 0) return after === 0 ? '±0' : `+${shown(unit, after)}`;
  return signed(after / before - 1);
}

function points(difference: number): string {
  const rounded = Math.round(difference * 1000) / 10;
  return rounded === 0 ? '±0 points' : `${rounded > 0 ? '+' : '−'}${Math.abs(rounded)} points`;
}
