/** Catches what breaks while a section is drawn, so that the navigation stays; the text says what broke, for a report. */
import type { ComponentChildren } from 'preact';
import { useErrorBoundary } from 'preact/hooks';
import { Failed } from '../ui/async';

export function Boundary({ children }: { children: ComponentChildren }) {
  const [error, reset] = useErrorBoundary();
  if (error === undefined || error === null) return <>{children}</>;
  const words = error instanceof Error ? error.message : String(error);
  return <Failed error={new Error(`this section could not be drawn: ${words}`)} retry={reset} />;
}
