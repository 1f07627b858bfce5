/**
 * Reading from the API in a component. While a new answer is on its way the old one stays, so that nothing jumps; a newer question
 * cancels the older one; nothing is asked while the page is hidden or live updates are paused.
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { paused } from './pause';

export interface Loaded<T> {
  data: T | null;
  error: Error | null;
  /** A question is on its way. */
  loading: boolean;
  /** The data answers an earlier question: another range, another filter. */
  old: boolean;
  /** When the data came; 0 before. */
  at_ms: number;
  reload: () => void;
}

interface Kept<T> {
  /** What was asked last. */
  key: string;
  /** What the data answers. */
  answers: string;
  data: T | null;
  error: Error | null;
  loading: boolean;
  at_ms: number;
}

/**
 * Asks `ask` whenever `key` changes, and again each `every_ms` (0: never). Data of another key's `group` (the part before `|`) is not
 * shown: a filter may keep the old picture, another page may not.
 */
export function useLoad<T>(key: string, ask: (signal: AbortSignal) => Promise<T>, every_ms = 0): Loaded<T> {
  const [kept, setKept] = useState<Kept<T>>({ key, answers: key, data: null, error: null, loading: true, at_ms: 0 });
  const [round, setRound] = useState(0);
  const asked_ms = useRef(0);
  const asking = useRef(ask);
  asking.current = ask;

  useEffect(() => {
    const abort = new AbortController();
    asked_ms.current = Date.now();
    setKept((old) => ({ ...old, key, loading: true }));
    asking.current(abort.signal).then(
      (data) => {
        if (!abort.signal.aborted) setKept({ key, answers: key, data, error: null, loading: false, at_ms: Date.now() });
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        setKept((old) => ({ ...old, error: error instanceof Error ? error : new Error(String(error)), loading: false }));
      },
    );
    return () => abort.abort();
  }, [key, round]);

  useEffect(() => {
    if (every_ms === 0) return undefined;
    const due = (): void => {
      if (!document.hidden && !paused.peek() && Date.now() - asked_ms.current >= every_ms * 0.9) setRound((value) => value + 1);
    };
    const timer = setInterval(due, every_ms);
    // What is old when the page is seen again, or goes on, is asked for at once.
    document.addEventListener('visibilitychange', due);
    const stop = paused.subscribe(due);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', due);
      stop();
    };
  }, [key, every_ms]);

  const reload = useCallback(() => setRound((value) => value + 1), []);
  const same = kept.answers.split('|', 1)[0] === key.split('|', 1)[0];
  return { data: same ? kept.data : null, error: kept.error, loading: kept.loading, old: kept.answers !== key, at_ms: kept.at_ms, reload };
}
