/** Loading, failed, empty, or there: the four states of everything that is read. Heights are reserved, so that nothing jumps. */
import type { ComponentChildren } from 'preact';
import type { Loaded } from '../state/load';
import { Button } from './basics';

interface AsyncProps<T> {
  of: Loaded<T>;
  /** Reserved height while loading, in steps of 8 px. */
  rows?: number;
  /** Says why there is nothing, and what to do; `null` when there is something. */
  empty?: (data: T) => string | null;
  children: (data: T) => ComponentChildren;
}

export function Async<T>({ of, rows = 20, empty, children }: AsyncProps<T>) {
  if (of.data === null) {
    return of.error ? <Failed error={of.error} retry={of.reload} /> : <Skeleton rows={rows} />;
  }
  const nothing = empty?.(of.data) ?? null;
  return (
    <div class={of.old && of.loading ? 'async async-old' : 'async'} aria-busy={of.old && of.loading}>
      {of.error && <Failed error={of.error} retry={of.reload} stale />}
      {nothing === null ? children(of.data) : <Empty text={nothing} rows={rows} />}
    </div>
  );
}

export function Skeleton({ rows }: { rows: number }) {
  return <div class="skeleton" style={{ height: `${rows * 8}px` }} role="status" aria-label="loading" aria-busy="true" />;
}

function Empty({ text, rows = 12 }: { text: string; rows?: number }) {
  return (
    <div class="empty" style={{ minHeight: `${rows * 8}px` }}>
      <p>{text}</p>
    </div>
  );
}

/** `stale`: what is shown below is from before the failure. */
export function Failed({ error, retry, stale = false }: { error: Error; retry: () => void; stale?: boolean }) {
  return (
    <div class="failed" role="alert">
      <p>
        {stale ? 'Not up to date: ' : ''}
        {error.message}
      </p>
      <Button small onClick={retry}>
        Try again
      </Button>
    </div>
  );
}
