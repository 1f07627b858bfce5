/** Why requests did not go to their first choice: spills by reason, and failures by from and to, in words. */
import { count, percent, plural } from '../format';
import type { Flows } from '../types/state';
import { Bar, Pill } from '../ui/basics';
import { outcomeWords, reasonWords } from './words';

const SHOWN_MAX = 12;

export function Spills({ flows }: { flows: Flows }) {
  const spills = Object.entries(flows.spills)
    .filter(([, requests]) => requests > 0)
    .sort((a, b) => b[1] - a[1]);
  const all = flows.flows.reduce((sum, { requests }) => sum + requests, 0);
  if (spills.length === 0) return <p class="muted">Nothing spilled: each request went to its first choice.</p>;
  const most = spills[0]?.[1] ?? 1;
  return (
    <ul class="moves">
      {spills.map(([reason, requests]) => (
        <li key={reason}>
          <p class="move-line">
            <span>{reasonWords(reason)}</span>
            <span class="move-figure">
              {count(requests)} <span class="muted">{percent(requests / Math.max(all, 1))}</span>
            </span>
          </p>
          <Bar value={requests / most} tone="warn" />
          <p class="muted small mono">{reason}</p>
        </li>
      ))}
    </ul>
  );
}

export function Failovers({ flows }: { flows: Flows }) {
  const moves = [...flows.failovers].sort((a, b) => b.requests - a.requests);
  if (moves.length === 0) return <p class="muted">No attempt failed in this range.</p>;
  return (
    <ul class="moves">
      {moves.slice(0, SHOWN_MAX).map(({ from, to, outcome, requests }) => (
        <li key={`${from} ${to} ${outcome}`}>
          <p class="move-line">
            <span>
              <b>{from}</b> {outcomeWords(outcome)}
              <br />
              <span class="muted">went on to</span> <b>{to}</b>
            </span>
            <span class="move-figure">
              <Pill tone={outcome === 'throttled' ? 'warn' : 'error'}>{plural(requests, 'request')}</Pill>
            </span>
          </p>
        </li>
      ))}
      {moves.length > SHOWN_MAX && <li class="muted">and {moves.length - SHOWN_MAX} more kinds</li>}
    </ul>
  );
}
