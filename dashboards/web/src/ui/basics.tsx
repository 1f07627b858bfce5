/** The small parts: buttons, pills, fields, cards, notes. No state, no data; how they look is in `styles/ui.css`. */
import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import type { Term } from '../explain';
import { Explain } from './explain';
import { Icon, type IconName } from './icon';

export type Tone = 'ok' | 'info' | 'warn' | 'error' | 'quiet';

/** A shape for each tone, so that nothing is told by colour alone. */
const SHAPE: Record<Tone, string> = { ok: '●', info: '◆', warn: '▲', error: '■', quiet: '○' };

export function Pill({ tone, children, title }: { tone: Tone; children: ComponentChildren; title?: string }) {
  return (
    <span class={`pill pill-${tone}`} title={title}>
      <span class="pill-shape" aria-hidden="true">
        {SHAPE[tone]}
      </span>
      {children}
    </span>
  );
}

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'icon'> {
  kind?: 'plain' | 'primary' | 'danger' | 'ghost';
  small?: boolean;
  glyph?: IconName;
  /** Work is under way: the button stays in place but does nothing. */
  busy?: boolean;
}

export function Button({ kind = 'plain', small = false, glyph, busy = false, children, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      class={`button button-${kind}${small ? ' button-small' : ''}`}
      disabled={busy || disabled}
      aria-busy={busy}
    >
      {glyph && <Icon name={glyph} />}
      {children}
    </button>
  );
}

/** A button that shows a picture only; `label` is what it does. */
export function IconButton({ glyph, label, ...rest }: Omit<ButtonProps, 'glyph' | 'label'> & { glyph: IconName; label: string }) {
  return <Button kind="ghost" {...rest} glyph={glyph} aria-label={label} title={label} />;
}

interface FieldProps {
  id: string;
  label: string;
  help?: string;
  error?: string | null;
  children: ComponentChildren;
}

/** A label, what it labels (with the same `id`), help, and what is wrong. Set `aria-describedby` to `{id}-help` in the child. */
export function Field({ id, label, help, error, children }: FieldProps) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {error ? (
        <p class="field-error" id={`${id}-help`} role="alert">
          {error}
        </p>
      ) : (
        help && (
          <p class="field-help" id={`${id}-help`}>
            {help}
          </p>
        )
      )}
    </div>
  );
}

interface CardProps {
  title: string;
  explain?: Term;
  /** Beside the title: switches, links. */
  actions?: ComponentChildren;
  /** Without padding, for tables that go to the edge. */
  flush?: boolean;
  class?: string;
  children: ComponentChildren;
}

export function Card({ title, explain, actions, flush = false, class: extra = '', children }: CardProps) {
  return (
    <section class={`card ${extra}`} aria-label={title}>
      <header class="card-head">
        <h2>{title}</h2>
        {explain && <Explain term={explain} />}
        {actions && <div class="card-actions">{actions}</div>}
      </header>
      <div class={flush ? 'card-body card-flush' : 'card-body'}>{children}</div>
    </section>
  );
}

/** A remark in the flow of a page. */
export function Note({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <div class={`note note-${tone}`} role={tone === 'error' ? 'alert' : undefined}>
      <span class="pill-shape" aria-hidden="true">
        {SHAPE[tone]}
      </span>
      <div>{children}</div>
    </div>
  );
}

/** A share of one as a bar, with its text beside or over it. `value` null draws the empty bar. */
export function Bar({ value, tone = 'info' }: { value: number | null; tone?: Tone | 'ember' }) {
  const width = `${Math.min(Math.max(value ?? 0, 0), 1) * 100}%`;
  return (
    <span class="bar" aria-hidden="true">
      <span class={`bar-fill bar-${tone}`} style={{ width }} />
    </span>
  );
}
