/** Colours for canvases: the names of `styles/tokens.css`, read when drawn, so that a canvas follows the theme. */

export type Colour =
  | `s${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8}`
  | `heat-${0 | 1 | 2 | 3 | 4}`
  | 'text'
  | 'muted'
  | 'line'
  | 'line-strong'
  | 'surface'
  | 'accent'
  | 'ok'
  | 'info'
  | 'warn'
  | 'error';

/** `#rrggbb`, with `alpha` (two hexadecimal digits) where given. */
export function colour(name: Colour, alpha = ''): string {
  return sixDigits(getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()) + alpha;
}

/** `#fff` → `#ffffff`: the build shortens colours where it can. */
export const sixDigits = (hex: string): string => (/^#[0-9a-f]{3}$/i.test(hex) ? hex.replace(/[0-9a-f]/gi, '$&$&') : hex);

const SERIES: readonly Colour[] = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8'];

/** The colour of the n-th line of a chart; they come round again after eight. */
export const nth = (index: number): Colour => SERIES[index % SERIES.length] ?? 's1';
