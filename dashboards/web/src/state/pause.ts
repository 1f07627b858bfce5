/** Whether the viewer holds the picture still: no live ticks are taken in, and nothing is asked again by itself. */
import { signal } from '@preact/signals';

export const paused = signal(false);
