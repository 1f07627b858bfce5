/** Short messages at the window's edge, read aloud by screen readers. Errors stay until they are closed. */
import { signal } from '@preact/signals';
import { IconButton, Pill, type Tone } from './basics';

interface Toast {
  id: number;
  tone: Tone;
  text: string;
}

const SHOWN_MS = 6_000;
const TOASTS_MAX = 4;
const toasts = signal<readonly Toast[]>([]);
let next = 1;

const close = (id: number): void => {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
};

export function toast(text: string, tone: Tone = 'ok'): void {
  const id = next++;
  toasts.value = [...toasts.value, { id, tone, text }].slice(-TOASTS_MAX);
  if (tone !== 'error') setTimeout(close, SHOWN_MS, id);
}

export function Toasts() {
  return (
    <div class="toasts" aria-live="polite" role="status">
      {toasts.value.map(({ id, tone, text }) => (
        <div key={id} class="toast">
          <Pill tone={tone}>{text}</Pill>
          <IconButton glyph="close" label="Close message" small onClick={() => close(id)} />
        </div>
      ))}
    </div>
  );
}
