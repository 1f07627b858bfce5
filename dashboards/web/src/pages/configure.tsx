/** Editing the configuration: forms and YAML over one text, then what differs, what it would do, putting it to use; and the versions. */
import { useEffect, useState } from 'preact/hooks';
import { ApplyView, Changes } from '../configure/apply-view';
import { DiffView } from '../configure/diff-view';
import { FormsTab } from '../configure/forms-tab';
import { NewerNote } from '../configure/newer-note';
import { Problems, Verdict } from '../configure/problems';
import { base, canUndo, discard, failure, isDirty, read, text, undo, verdict, size } from '../configure/store';
import { VersionsView } from '../configure/versions-view';
import { WhatIfView } from '../configure/what-if-view';
import { YamlTab } from '../configure/yaml-tab';
import { may, session } from '../state/session';
import { place, setParams } from '../state/url';
import { Failed, Skeleton } from '../ui/async';
import { Button, Card, Note } from '../ui/basics';
import { Choice } from '../ui/choice';
import { confirm } from '../ui/dialog';
import '../styles/configure.css';

const STEPS = [
  ['edit', 'Edit'],
  ['difference', 'Difference'],
  ['what-if', 'What if'],
  ['apply', 'Apply'],
  ['versions', 'Versions'],
] as const;
type Step = (typeof STEPS)[number][0];

const isStep = (name: string | undefined): name is Step => STEPS.some(([own]) => own === name);

export default function ConfigurePage() {
  if (!may('admin')) {
    return (
      <Note tone="info">
        The configuration is shown to administrators only, since what is written by hand may hold a secret. You are signed in as{' '}
        {session.value?.role ?? 'nobody'}; whoever runs the gateway can give you the role admin.
      </Note>
    );
  }
  return <Configure />;
}

function Configure() {
  useEffect(() => void read(), []);
  const now = base.value;
  if (now === null) return failure.value ? <Failed error={failure.value} retry={() => void read()} /> : <Skeleton rows={80} />;
  const wanted = place.value.params['step'];
  const step: Step = isStep(wanted) ? wanted : 'edit';
  const next = STEPS[STEPS.findIndex(([own]) => own === step) + 1];
  return (
    <div class="stack">
      <header class="configure-head">
        <div>
          <p class="mono small configure-path">{now.path ?? 'no file'}</p>
          <p class="muted small">
            generation {now.generation}
            {now.writable ? '' : ', cannot be written from here'}
          </p>
        </div>
        <div class="row">
          <Verdict />
          <Button small disabled={!canUndo.value} onClick={undo}>
            Undo
          </Button>
          <Button small disabled={!isDirty.value} onClick={() => void drop()}>
            Drop all edits…
          </Button>
        </div>
      </header>
      {now.last_error && <Note tone="error">The file as it is on disk is not in use: {now.last_error}</Note>}
      {!now.writable && step !== 'apply' && <Note tone="info">You can edit, check and play it here, but not apply it: {now.reason}.</Note>}
      <NewerNote />
      <Stepper step={step} />
      <Body step={step} />
      {step !== 'versions' && step !== 'apply' && next && (
        <div class="row configure-next">
          <Button kind="primary" disabled={!isDirty.value} onClick={() => setParams({ step: next[0] })}>
            Next: {next[1]}
          </Button>
          {!isDirty.value && <span class="muted small">Nothing has changed yet.</span>}
        </div>
      )}
    </div>
  );
}

async function drop(): Promise<void> {
  const question = {
    title: 'Drop all edits?',
    text: 'The text goes back to what is in use. This cannot be undone.',
    act: 'Drop',
    danger: true,
  };
  if (await confirm(question)) discard();
}

function Stepper({ step }: { step: Step }) {
  const { out, in: added } = size.value;
  return (
    <nav class="stepper" aria-label="Steps of a change">
      <ol>
        {STEPS.map(([id, label], n) => (
          <li key={id} class={id === 'versions' ? 'stepper-apart' : undefined}>
            <button
              type="button"
              aria-current={id === step ? 'step' : undefined}
              onClick={() => setParams({ step: id === 'edit' ? '' : id })}
            >
              {id !== 'versions' && <span class="stepper-number">{n + 1}</span>}
              {label}
              {id === 'difference' && isDirty.value && (
                <span class="stepper-size">
                  +{added} −{out}
                </span>
              )}
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Body({ step }: { step: Step }) {
  switch (step) {
    case 'edit':
      return <Edit />;
    case 'difference':
      return (
        <Card title="Difference to what is in use">
          <div class="stack">
            {verdict.value && isDirty.value && <Changes changes={verdict.value.changes} />}
            <DiffView before={base.value?.text ?? ''} after={text.value} label="Lines that differ" />
            <Problems />
          </div>
        </Card>
      );
    case 'what-if':
      return (
        <Card title="What it would do" explain="whatIf">
          <WhatIfView />
        </Card>
      );
    case 'apply':
      return (
        <Card title="Put it to use">
          <ApplyView />
        </Card>
      );
    case 'versions':
      return (
        <Card title="Versions" flush>
          <VersionsView />
        </Card>
      );
  }
}

const TABS = [
  { value: 'forms', label: 'Forms' },
  { value: 'yaml', label: 'YAML' },
] as const;

function Edit() {
  const tab = place.value.params['tab'] === 'yaml' ? 'yaml' : 'forms';
  const [line, setLine] = useState<number | null>(null);
  return (
    <Card
      title="Edit"
      actions={
        <Choice label="Edit as" options={TABS} value={tab} onChange={(next) => setParams({ tab: next === 'forms' ? '' : next }, true)} />
      }
    >
      {tab === 'yaml' ? (
        <YamlTab readOnly={false} line={line} />
      ) : (
        <div class="stack">
          <FormsTab />
          <Problems
            onGo={(problem) => {
              setLine(problem.line);
              setParams({ tab: 'yaml' }, true);
            }}
          />
        </div>
      )}
    </Card>
  );
}
