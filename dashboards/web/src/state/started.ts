/** When the gateway's process started, asked for once. A restart meanwhile shows as a gap, since its store or an older start is then known. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import * as api from '../api';

const started_ms = signal<number | null>(null);
let asked: Promise<void> | null = null;

async function ask(): Promise<void> {
  try {
    started_ms.value = (await api.status()).started_at_ms;
  } catch {
    // Without it charts show the whole range; the next section asks again, and those that need the status say that it cannot be had.
    asked = null;
  }
}

export function useStarted(): number | null {
  useEffect(() => void (asked ??= ask()), []);
  return started_ms.value;
}
