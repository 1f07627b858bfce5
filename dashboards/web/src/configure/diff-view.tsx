/** Two texts' difference, unified, with signs beside the colours and line numbers of both. */
import { Fragment } from 'preact';
import { useMemo } from 'preact/hooks';
import { plural } from '../format';
import { hunks, sizeOf } from './diff';
import type { Row } from './diff';

const SIGNS: Record<Row['kind'], string> = { same: ' ', out: '−', in: '+' };
const WORDS: Record<Row['kind'], string> = { same: '', out: 'removed: ', in: 'added: ' };
const ROWS_MAX = 2_000;

export function DiffView({ before, after, label }: { before: string; after: string; label: string }) {
  const groups = useMemo(() => hunks(before, after), [before, after]);
  const size = useMemo(() => sizeOf(before, after), [before, after]);
  if (groups.length === 0) return <p class="muted">Nothing differs.</p>;
  let left = ROWS_MAX;
  return (
    <>
      <p class="muted small">
        {plural(size.out, 'line')} removed, {plural(size.in, 'line')} added
      </p>
      <div class="diff" role="region" aria-label={label} tabIndex={0}>
        <table>
          <tbody>
            {groups.map((rows, n) => {
              const shown = rows.slice(0, Math.max(left, 0));
              left -= rows.length;
              return (
                <Fragment key={n}>
                  {n > 0 && (
                    <tr class="diff-gap">
                      <td colSpan={4}>⋯</td>
                    </tr>
                  )}
                  {shown.map((row, at) => (
                    <tr key={at} class={`diff-${row.kind}`}>
                      <td class="diff-number">{row.old}</td>
                      <td class="diff-number">{row.now}</td>
                      <td class="diff-sign" aria-hidden="true">
                        {SIGNS[row.kind]}
                      </td>
                      <td class="diff-text">
                        {WORDS[row.kind] && <span class="hidden">{WORDS[row.kind]}</span>}
                        {row.text}
                      </td>
                    </tr>
                  ))}
                </Fragment>
              );
            })}
          </tbody>
        </table>
      </div>
      {left < 0 && <p class="muted small">Only the first {ROWS_MAX} lines are shown.</p>}
    </>
  );
}
