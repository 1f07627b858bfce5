/** Dialogs on the browser's own `<dialog>`, which keeps the focus inside and closes on Escape; and the question before a change. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Button, Field, IconButton } from './basics';

interface DialogProps {
  title: string;
  onClose: () => void;
  wide?: boolean;
  children: ComponentChildren;
  /** The row of buttons at the end. */
  actions?: ComponentChildren;
}

export function Dialog({ title, onClose, wide = false, children, actions }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? 'dialog dialog-wide' : 'dialog'}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="dialog-inner">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton glyph="close" label="Close" onClick={() => dialog.current?.close()} />
        </header>
        <div class="dialog-body">{children}</div>
        {actions && <footer class="dialog-actions">{actions}</footer>}
      </div>
    </dialog>
  );
}

interface Question {
  title: string;
  /** What will happen, and how it is undone. */
  text: string;
  /** The word on the button that does it. */
  act: string;
  danger?: boolean;
  /** A name that must be typed first, for what cannot be undone. */
  type?: string;
}

const asked = signal<(Question & { answer: (yes: boolean) => void }) | null>(null);

/** Asks before a change; resolves to whether it may go on. */
export function confirm(question: Question): Promise<boolean> {
  asked.value?.answer(false);
  return new Promise((answer) => {
    asked.value = { ...question, answer };
  });
}

/** Shows the question that `confirm` asks. Once, in the shell. */
export function Confirm() {
  const question = asked.value;
  const [typed, setTyped] = useState('');
  if (question === null) return null;
  const answer = (yes: boolean): void => {
    asked.value = null;
    setTyped('');
    question.answer(yes);
  };
  return (
    <Dialog
      title={question.title}
      onClose={() => answer(false)}
      actions={
        <>
          <Button onClick={() => answer(false)}>Cancel</Button>
          <Button
            kind={question.danger ? 'danger' : 'primary'}
            disabled={question.type !== undefined && typed !== question.type}
            onClick={() => answer(true)}
          >
            {question.act}
          </Button>
        </>
      }
    >
      <p>{question.text}</p>
      {question.type !== undefined && (
        <Field id="confirm-typed" label={`Type ${question.type} to go on`}>
          <input
            id="confirm-typed"
            value={typed}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </Field>
      )}
    </Dialog>
  );
}
