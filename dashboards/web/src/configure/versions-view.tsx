/** The versions of the configuration: who put which to use and why, what each changed, and going back to one. */
import { useState } from 'preact/hooks';
import * as api from '../api';
import { ago, moment, utc } from '../format';
import { now_ms } from '../state/clock';
import { useLoad } from '../state/load';
import { may } from '../state/session';
import type { ConfigVersion } from '../types/config';
import { Async } from '../ui/async';
import { Button, Pill } from '../ui/basics';
import { Choice } from '../ui/choice';
import { confirm } from '../ui/dialog';
import { Table, type Column } from '../ui/table';
import { toast } from '../ui/toast';
import { Words } from '../ui/words';
import { DiffView } from './diff-view';
import { base, isDirty, read } from './store';

const COLUMNS: readonly Column<ConfigVersion>[] = [
  {
    id: 'id',
    head: 'Version',
    cell: ({ id, current }) => (
      <span class="version-id">
        <b>{id}</b>
        {current && <Pill tone="ok">in use</Pill>}
      </span>
    ),
    by: ({ id }) => id,
  },
  {
    id: 'at',
    head: 'Put to use',
    cell: ({ at_ms }) => (
      <time class="version-id" title={`${moment(at_ms)}, ${utc(at_ms)}`}>
        {ago(at_ms, now_ms.value)}
      </time>
    ),
    by: ({ at_ms }) => at_ms,
  },
  { id: 'who', head: 'By', cell: ({ who }) => who, by: ({ who }) => who },
  { id: 'summary', head: 'What changed', cell: ({ summary, note }) => <Summary summary={summary} note={note} /> },
];

export function VersionsView() {
  const versions = useLoad(`versions|${base.value?.generation ?? 0}`, (signal) => api.configVersions(signal));
  return (
    <Async
      of={versions}
      rows={40}
      empty={(data) =>
        data.versions.length === 0 ? 'No version is kept yet: the first is made when a configuration is put to use.' : null
      }
    >
      {(data) => (
        <Table
          label="Versions of the configuration"
          columns={COLUMNS}
          rows={data.versions}
          rowKey={({ id }) => String(id)}
          detail={(version) => <Version version={version} onRestored={versions.reload} />}
        />
      )}
    </Async>
  );
}

function Summary({ summary, note }: { summary: string; note: string }) {
  return (
    <span class="version-summary">
      {note && <span>{note}</span>}
      <span class="muted small">
        <Words text={summary} />
      </span>
    </span>
  );
}

const VIEWS = [
  { value: 'diff', label: 'Difference to what is in use' },
  { value: 'text', label: 'Its text' },
] as const;

function Version({ version, onRestored }: { version: ConfigVersion; onRestored: () => void }) {
  const full = useLoad(`version|${version.id}`, (signal) => api.configVersion(version.id, signal));
  const [view, setView] = useState<'diff' | 'text'>(version.current ? 'text' : 'diff');
  const [busy, setBusy] = useState(false);
  const restore = async (): Promise<void> => {
    const now = base.peek();
    if (now === null) return;
    const unsaved = isDirty.peek() ? ' Your edits stay in the editor, beside the restored text.' : '';
    const question = {
      title: `Restore version ${version.id}?`,
      text: `Its text is checked and put to use, as a new version.${unsaved}`,
      act: 'Restore',
    };
    if (!(await confirm(question))) return;
    setBusy(true);
    try {
      const { version: made } = await api.restoreConfig(version.id, now.sha256, `restored version ${version.id}`);
      toast(`version ${version.id} is in use again${made === null ? '' : `, as version ${made}`}`);
      await read();
      onRestored();
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), 'error');
      setBusy(false);
    }
  };
  const isWritable = base.value?.writable === true && may('admin');
  return (
    <div class="stack">
      <div class="row">
        <Choice label="Show" options={VIEWS} value={view} onChange={setView} />
        {!version.current && (
          <Button
            small
            busy={busy}
            disabled={!isWritable}
            title={isWritable ? undefined : (base.value?.reason ?? 'needs the role admin')}
            onClick={() => void restore()}
          >
            Restore…
          </Button>
        )}
      </div>
      <Async of={full} rows={20}>
        {({ text }) =>
          view === 'text' ? (
            <pre class="version-text" tabIndex={0} aria-label={`Text of version ${version.id}`}>
              {text}
            </pre>
          ) : (
            <DiffView before={base.value?.text ?? ''} after={text} label={`What version ${version.id} has otherwise than what is in use`} />
          )
        }
      </Async>
    </div>
  );
}
