/** The file was changed by somebody else while it is being edited here: what they changed, and how to go on. */
import { useState } from 'preact/hooks';
import { plural } from '../format';
import { Button, Note } from '../ui/basics';
import { toast } from '../ui/toast';
import { DiffView } from './diff-view';
import { merged } from './merge';
import { base, discard, newer, rebase, text } from './store';

export function NewerNote() {
  const [isShown, setShown] = useState(false);
  const [theirs, origin] = [newer.value, base.value];
  if (theirs === null || origin === null) return null;
  const lay = (): void => {
    const { text: both, clashes } = merged(origin.text, text.peek(), theirs.text);
    rebase(both);
    const lines = clashes.map(({ line }) => line).join(', ');
    toast(
      clashes.length === 0
        ? 'your changes stand on the newer file now'
        : `both changed the same lines (${lines}); yours stand there now: look at the difference`,
      clashes.length === 0 ? 'ok' : 'error',
    );
  };
  const clashing = merged(origin.text, text.value, theirs.text).clashes.length;
  return (
    <Note tone="warn">
      <p>
        The file was changed by somebody else while you edit it.{' '}
        {clashing === 0 ? 'Your changes touch other lines.' : `${plural(clashing, 'place')} both of you changed.`}
      </p>
      <div class="row newer-actions">
        <Button small kind="primary" onClick={lay}>
          Lay my changes over it
        </Button>
        <Button small onClick={() => discard()}>
          Drop mine
        </Button>
        <Button small kind="ghost" aria-expanded={isShown} onClick={() => setShown(!isShown)}>
          {isShown ? 'Hide' : 'Show'} what they changed
        </Button>
      </div>
      {isShown && <DiffView before={origin.text} after={theirs.text} label="What somebody else changed" />}
    </Note>
  );
}
