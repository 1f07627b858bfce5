/** Dark, light, or as the system has it. `themeSeen` changes whenever colours do, so that canvases are drawn again. */
import { effect, signal } from '@preact/signals';

type Theme = 'system' | 'dark' | 'light';
const KEY = 'emberway.theme';

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'dark' || value === 'light' ? value : 'system';
  } catch {
    return 'system'; // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

export const theme = signal<Theme>('system');
export const themeSeen = signal(0);

/** Applies the stored choice, and follows both the switch and the system from now on. */
export function followTheme(): void {
  theme.value = stored();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (themeSeen.value += 1));
  effect(() => {
    const choice = theme.value;
    if (choice === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = choice;
    try {
      if (choice === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch {
      // As above: no storage, no memory of the choice.
    }
    themeSeen.value = themeSeen.peek() + 1;
  });
}
