/** A request's time line: one row for each thing it waited for, the first token as a mark through all. */
import { duration } from '../format';
import type { SlowRequest } from '../types/reading';
import { lastMoment, waterfall, type Part } from '../waterfall';

const KINDS: Record<Part['kind'], string> = {
  body: 'reading the body',
  queue: 'waiting for room',
  waiting: 'waiting for the answer',
  answering: 'answering',
  failed: 'attempt that failed',
};

export function Waterfall({ request }: { request: SlowRequest }) {
  const rows = waterfall(request);
  const end_ms = lastMoment(request, rows);
  const place = (ms: number): string => `${(ms / end_ms) * 100}%`;
  const used = new Set(rows.flatMap((row) => row.parts.map((part) => part.kind)));
  return (
    <div class="waterfall">
      <ol>
        {rows.map((row, i) => (
          <li key={i}>
            <span class="waterfall-label">
              {row.failed ? '✕ ' : ''}
              {row.label}
              <small>{row.text}</small>
            </span>
            <span class="waterfall-line">
              {row.parts.map((part) => (
                <span
                  key={part.kind}
                  class={`waterfall-part waterfall-${part.kind}`}
                  title={`${KINDS[part.kind]}: ${duration(part.to_ms - part.from_ms)}`}
                  style={{ left: place(part.from_ms), width: place(part.to_ms - part.from_ms) }}
                />
              ))}
              {request.first_token_ms !== null && <span class="waterfall-first" style={{ left: place(request.first_token_ms) }} />}
            </span>
            <span class="waterfall-time">{duration(row.parts.reduce((sum, part) => sum + part.to_ms - part.from_ms, 0))}</span>
          </li>
        ))}
      </ol>
      <div class="waterfall-axis" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75, 1].map((part) => (
          <span key={part}>{duration(end_ms * part)}</span>
        ))}
      </div>
      <p class="legend">
        {(Object.keys(KINDS) as Part['kind'][])
          .filter((kind) => used.has(kind))
          .map((kind) => (
            <span key={kind} class="legend-item">
              <span class={`waterfall-key waterfall-${kind}`} aria-hidden="true" />
              {KINDS[kind]}
            </span>
          ))}
        {request.first_token_ms !== null && (
          <span class="legend-item">
            <span class="waterfall-key waterfall-first-key" aria-hidden="true" />
            first token after {duration(request.first_token_ms)}
          </span>
        )}
      </p>
    </div>
  );
}
