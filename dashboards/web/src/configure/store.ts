/**
 * The configuration that is being edited: one text, which forms and editor both change. It lives as long as the page, so that going to
 * another section loses nothing; it is never written to the browser's storage. The gateway checks it as it is typed.
 */
import { computed, effect, signal } from '@preact/signals';
import * as api from '../api';
import { generation } from '../live';
import type { Applied, CheckResult, ConfigText, Problem } from '../types/config';
import { sizeOf } from './diff';
import { parse } from './document';
import type { Schema } from './schema';

const CHECK_AFTER_MS = 350;
const UNDO_MAX = 50;

/** What is in use, as it was read; the text is compared with it. */
export const base = signal<ConfigText | null>(null);
export const schema = signal<Schema | null>(null);
export const failure = signal<Error | null>(null);
/** The text as it is now. */
export const text = signal('');
/** The file as somebody else has left it meanwhile, where that is so. */
export const newer = signal<ConfigText | null>(null);
export const checking = signal(false);
const checked = signal<{ text: string; result: CheckResult } | null>(null);
const checkError = signal<string | null>(null);
const undoable = signal<readonly string[]>([]);

export const isDirty = computed(() => base.value !== null && text.value !== base.value.text);
export const parsed = computed(() => parse(text.value));
/** The values of what is in use. */
export const baseValues = computed(() => parse(base.value?.text ?? '').values ?? undefined);
/** Lines that were taken out and put in. */
export const size = computed(() => sizeOf(base.value?.text ?? '', text.value));
export const canUndo = computed(() => undoable.value.length > 0);
/** The gateway's verdict on the text as it is now; `null` until it is there. */
export const verdict = computed<CheckResult | null>(() => (checked.value?.text === text.value ? checked.value.result : null));
/** Problems of the text, the last known ones while a new verdict is on its way. */
export const problems = computed<readonly Problem[]>(() => checked.value?.result.problems ?? []);
export const verdictError = computed(() => checkError.value);
export const errors = computed(() => problems.value.filter(({ severity }) => severity === 'error').length);

/** Reads what is in use. What was edited stays, unless `discard`. */
export async function read(discard = false): Promise<void> {
  try {
    const [now, rules] = await Promise.all([api.config(), schema.peek() ?? api.configSchema()]);
    schema.value = rules;
    failure.value = null;
    if (base.peek() === null || discard || !isDirty.peek()) {
      take(now);
    } else if (now.sha256 !== base.peek()?.sha256 && now.text !== base.peek()?.text) {
      newer.value = now;
    } else {
      base.value = now;
      newer.value = null;
    }
  } catch (error) {
    failure.value = error instanceof Error ? error : new Error(String(error));
  }
}

function take(now: ConfigText): void {
  base.value = now;
  text.value = now.text;
  newer.value = null;
  undoable.value = [];
  isTyping = false;
}

/** Whether the last change was typed: a stretch of typing is one step of undoing. */
let isTyping = false;

/** Puts another text in the place of this one, which can be undone. */
export function change(next: string): void {
  if (next === text.peek()) return;
  isTyping = false;
  undoable.value = [...undoable.peek(), text.peek()].slice(-UNDO_MAX);
  text.value = next;
}

/** Makes an edit of the text; whether it could be made. */
export function apply(edit: (text: string) => string | null): boolean {
  const made = edit(text.peek());
  if (made !== null) change(made);
  return made !== null;
}

/** What is typed in the editor, which has its own undo as well. */
export function typed(next: string): void {
  if (isTyping) text.value = next;
  else change(next);
  isTyping = true;
}

export function undo(): void {
  const last = undoable.peek().at(-1);
  if (last === undefined) return;
  undoable.value = undoable.peek().slice(0, -1);
  isTyping = false;
  text.value = last;
}

/** Goes back to what is in use. */
export function discard(): void {
  const now = newer.peek() ?? base.peek();
  if (now) take(now);
}

/** Goes on from the newer file with another text. */
export function rebase(next: string): void {
  const now = newer.peek();
  if (!now) return;
  base.value = now;
  newer.value = null;
  change(next);
}

/** The text that was sent is in use now; what was typed meanwhile stays, as a change of it. */
export async function applied(result: Applied, sent: string): Promise<void> {
  const now = base.peek();
  if (now) base.value = { ...now, text: sent, generation: result.generation };
  await read();
}

/** Asks the gateway for its verdict on each text, a moment after the last change; an older question is given up. */
effect(() => {
  const asked = text.value;
  if (base.value === null) return undefined;
  const abort = new AbortController();
  const timer = setTimeout(() => {
    checking.value = true;
    api.checkConfig(asked, abort.signal).then(
      (result) => {
        checked.value = { text: asked, result };
        checkError.value = null;
        checking.value = false;
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        checkError.value = error instanceof Error ? error.message : String(error);
        checking.value = false;
      },
    );
  }, CHECK_AFTER_MS);
  return () => {
    clearTimeout(timer);
    abort.abort();
  };
});

/** Another generation is in use: the file is read again. */
effect(() => {
  const now = generation.value;
  if (now !== null && base.peek() !== null && now !== base.peek()?.generation) void read();
});

/** The browser asks before the window goes with edits in it. */
effect(() => {
  if (!isDirty.value || typeof addEventListener !== 'function') return undefined;
  const warn = (event: BeforeUnloadEvent): void => event.preventDefault();
  addEventListener('beforeunload', warn);
  return () => removeEventListener('beforeunload', warn);
});

/** `pools[0].tiers` of a path, as the gateway names places. */
export function nameOf(path: readonly (string | number)[]): string {
  return path.reduce<string>((name, step) => (typeof step === 'number' ? `${name}[${step}]` : name === '' ? step : `${name}.${step}`), '');
}
