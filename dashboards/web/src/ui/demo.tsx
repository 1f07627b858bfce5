/** Says in a demo that what went wrong at its start was staged, where that shows. */
import { session } from '../state/session';
import { Note } from './basics';

export function DemoNote() {
  if (session.value?.demo !== true) return null;
  return (
    <Note tone="info">
      This is a demo. On purpose it took a simulated region down twice as it began: whole answers went on elsewhere (failovers), and streams
      that had begun were cut, which is what its first errors are. What came later was not staged.
    </Note>
  );
}
