/** The YAML tab: the editor's host, how to leave it by the keyboard, and the problems as a list that leads to their lines. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failed, Skeleton } from '../ui/async';
import type { Editor } from './editor';
import { Problems } from './problems';
import { problems, schema, text, typed } from './store';

const HEIGHT_ROWS = 64;

export function YamlTab({ readOnly, line }: { readOnly: boolean; line: number | null }) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const [state, setState] = useState<'reading' | 'there' | 'failed'>('reading');
  const [round, setRound] = useState(0);
  const rules = schema.value;
  useEffect(() => {
    if (rules === null) return undefined;
    let wanted = true;
    import('./editor').then(
      ({ openEditor }) => {
        if (!wanted || !host.current) return;
        editor.current = openEditor({ host: host.current, text: text.peek(), schema: rules, readOnly, onChange: typed });
        editor.current.setProblems(problems.peek());
        setState('there');
        if (line !== null) editor.current.goTo(line);
      },
      () => wanted && setState('failed'),
    );
    return () => {
      wanted = false;
      editor.current?.destroy();
      editor.current = null;
    };
  }, [rules, readOnly, round]);
  useEffect(() => text.subscribe((next) => editor.current?.setText(next)), []);
  useEffect(() => problems.subscribe((next) => editor.current?.setProblems(next)), []);
  return (
    <div class="yaml">
      <p class="muted small">
        <kbd>Ctrl</kbd> <kbd>Space</kbd> completes, <kbd>Ctrl</kbd> <kbd>F</kbd> finds, <kbd>Ctrl</kbd> <kbd>Z</kbd> undoes; <kbd>Tab</kbd>{' '}
        indents. <kbd>Esc</kbd> then <kbd>Tab</kbd> leaves the editor.
      </p>
      {state === 'failed' && (
        <Failed
          error={new Error('the editor could not be read; reload the page if the gateway was updated')}
          retry={() => (setState('reading'), setRound((n) => n + 1))}
        />
      )}
      <div class="yaml-frame">
        {state === 'reading' && <Skeleton rows={HEIGHT_ROWS} />}
        {/* What is typed is no shortcut of the page, which cannot see that it comes from an editor inside. */}
        <div ref={host} class="yaml-host" hidden={state !== 'there'} onKeyDown={(event) => event.stopPropagation()} />
      </div>
      <Problems onGo={(problem) => problem.line !== null && editor.current?.goTo(problem.line, problem.column ?? 1)} />
    </div>
  );
}
