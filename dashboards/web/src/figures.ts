/** Arithmetic on figures: shares and rates that several pages show. Absent is `null`, never 0 or NaN. */
import type { Figures } from './types/reading';

/** `part` of `whole`; `null` where there is no whole. */
export function share(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

/** Requests that clients saw fail, of all. */
export const errorShare = (figures: Pick<Figures, 'errors' | 'requests'>): number | null => share(figures.errors, figures.requests);

/** Prompt tokens that the provider found in its cache, of all prompt tokens. */
export const cachedShare = (figures: Pick<Figures, 'cached_tokens' | 'prompt_tokens'>): number | null =>
  share(figures.cached_tokens, figures.prompt_tokens);

/** Change from `before` to `now` as a share of `before`; `null` when there is nothing to compare with. */
export function change(now: number | null, before: number | null): number | null {
  return now === null || before === null || before === 0 ? null : now / before - 1;
}

/** The same, or no change at all where there is nothing to hold the present against. */
export const against = (is_whole: boolean): typeof change => (is_whole ? change : () => null);
