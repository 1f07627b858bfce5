/** Keyboard shortcuts: `g` and a letter opens a section, `?` shows them all. None while something is typed or a dialog is open. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { SECTIONS } from '../pages';
import { paused } from '../state/pause';
import { theme } from '../state/theme';
import { linkTo } from '../state/url';

export const helpShown = signal(false);

/** The second key must follow `g` within this. */
const CHORD_MS = 1_500;

/** Keys beside the sections', as the help sheet shows them. */
export const KEYS: readonly (readonly [string, string])[] = [
  ['?', 'Show this help'],
  ['p', 'Pause or go on'],
  ['t', 'Dark or light'],
  ['Esc', 'Close what is open'],
];

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** The other theme; it follows the system again when that is what the system has. */
export function flipTheme(): void {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const shown = theme.value === 'system' ? system : theme.value;
  const wanted = shown === 'dark' ? 'light' : 'dark';
  theme.value = wanted === system ? 'system' : wanted;
}

export function useKeys(): void {
  useEffect(() => {
    let chordAt = 0;
    const pressed = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]')) return;
      const chord = Date.now() - chordAt < CHORD_MS;
      chordAt = 0;
      if (chord) {
        const section = SECTIONS.find(({ key }) => key === event.key);
        if (section) location.hash = linkTo(section.id);
      } else if (event.key === 'g') chordAt = Date.now();
      else if (event.key === '?') helpShown.value = true;
      else if (event.key === 'p') paused.value = !paused.value;
      else if (event.key === 't') flipTheme();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
