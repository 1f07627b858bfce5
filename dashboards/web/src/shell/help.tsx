/** The sheet of keyboard shortcuts behind `?`. */
import { SECTIONS } from '../pages';
import { Dialog } from '../ui/dialog';
import { helpShown, KEYS } from './keys';

export function Help() {
  if (!helpShown.value) return null;
  return (
    <Dialog title="Keyboard shortcuts" onClose={() => (helpShown.value = false)}>
      <dl class="keys">
        {KEYS.map(([key, text]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
        {SECTIONS.map(({ id, key, title }) => (
          <div key={id}>
            <dt>
              <kbd>g</kbd> <kbd>{key}</kbd>
            </dt>
            <dd>{title}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
