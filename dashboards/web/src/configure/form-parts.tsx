/** What forms are made of: a part with its heading, a list whose items open one by one, and finding one of many. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Button } from '../ui/basics';
import { confirm } from '../ui/dialog';
import { toast } from '../ui/toast';
import { Words } from '../ui/words';
import { items, word } from './document';
import { removeAt } from './edits';
import { change, parsed, text } from './store';

/** Items drawn at a time: a configuration may have a thousand of each. */
const PAGE = 20;

interface ListProps {
  of: 'pools' | 'routes' | 'clients';
  text: string;
  add?: () => ComponentChildren;
  removable?: boolean;
  children: (index: number, name: string) => ComponentChildren;
}

export function List({ of, text: about, add, removable = false, children }: ListProps) {
  const all = items(parsed.value.values ?? undefined, [of]).map((item, index) => ({ index, name: word(item, ['name']) }));
  const remove = async (index: number, name: string): Promise<void> => {
    const noun = of.slice(0, -1);
    if (
      !(await confirm({
        title: `Take ${noun} ${name} out?`,
        text: `It goes from the text only; nothing changes before it is applied.`,
        act: 'Take out',
      }))
    )
      return;
    const made = removeAt(text.peek(), [of, index]);
    if (made === null) toast('this change cannot be made by the form; make it in YAML', 'error');
    else change(made);
  };
  return (
    <Part title={of[0]?.toUpperCase() + of.slice(1)} text={about}>
      <Paged of={all} nameOf={({ name }) => name}>
        {({ index, name }) => (
          <>
            {children(index, name)}
            {removable && all.length > 1 && (
              <div class="row">
                <Button small kind="ghost" onClick={() => void remove(index, name)}>
                  Take {name} out…
                </Button>
              </div>
            )}
          </>
        )}
      </Paged>
      {add?.()}
    </Part>
  );
}

export function Part({ title, text: about, children }: { title: string; text: string; children: ComponentChildren }) {
  return (
    <section class="part" aria-label={title}>
      <h2>{title}</h2>
      {about && (
        <p class="muted">
          <Words text={about} />
        </p>
      )}
      {children}
    </section>
  );
}

interface PagedProps<T> {
  of: readonly T[];
  nameOf: (item: T) => string;
  children: (item: T) => ComponentChildren;
}

/** Items that open one by one; those beyond a page are found by name. */
export function Paged<T>({ of, nameOf, children }: PagedProps<T>) {
  const [sought, setSought] = useState('');
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set(of.length <= 3 ? of.map(nameOf) : []));
  const found = of.filter((item) => nameOf(item).includes(sought));
  const toggle = (name: string, isOpen: boolean): void =>
    setOpen((old) => {
      const next = new Set(old);
      if (isOpen) next.add(name);
      else next.delete(name);
      return next;
    });
  return (
    <>
      {of.length > PAGE && (
        <input
          aria-label="Find by name"
          placeholder={`Find one of ${of.length} by name`}
          value={sought}
          onInput={(event) => setSought(event.currentTarget.value)}
        />
      )}
      {found.slice(0, PAGE).map((item) => {
        const name = nameOf(item);
        return (
          <details key={name} class="item" open={open.has(name)} onToggle={(event) => toggle(name, event.currentTarget.open)}>
            <summary>{name}</summary>
            {open.has(name) && <div class="item-body">{children(item)}</div>}
          </details>
        );
      })}
      {found.length > PAGE && <p class="muted small">and {found.length - PAGE} more: find them by name</p>}
    </>
  );
}
