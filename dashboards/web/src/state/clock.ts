/** The page's clock: `now_ms` moves every five seconds, so that "3 min ago" and ranges that follow the present stay true. */
import { signal } from '@preact/signals';

const STEP_MS = 5_000;
export const now_ms = signal(Date.now());

/** Starts the clock; it stands while the page is hidden. */
export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now_ms.value = Date.now();
  }, STEP_MS);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) now_ms.value = Date.now();
  });
}
