/** The `?` beside a figure: opens a short text in plain words. The browser's own popover: Escape and a click elsewhere close it. */
import { useId, useRef } from 'preact/hooks';
import { EXPLAIN, type Term } from '../explain';

const GAP_PX = 8;

export function Explain({ term }: { term: Term }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const box = useRef<HTMLDivElement>(null);

  /** Below the button and inside the window. */
  const settle = (): void => {
    if (!button.current || !box.current) return;
    const at = button.current.getBoundingClientRect();
    const width = box.current.offsetWidth;
    const height = box.current.offsetHeight;
    const left = Math.max(GAP_PX, Math.min(at.left - GAP_PX, innerWidth - width - GAP_PX));
    const below = at.bottom + GAP_PX + height <= innerHeight;
    box.current.style.left = `${left}px`;
    box.current.style.top = `${below ? at.bottom + GAP_PX : Math.max(GAP_PX, at.top - GAP_PX - height)}px`;
  };

  return (
    <span class="explain">
      <button ref={button} type="button" class="explain-button" popovertarget={id} aria-label={`What is this? (${term})`}>
        ?
      </button>
      <div ref={box} id={id} popover="auto" class="explain-box" onToggle={settle}>
        {EXPLAIN[term]}
      </div>
    </span>
  );
}
