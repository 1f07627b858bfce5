/** Puts the text to use, with a note: what changes, what needs a restart, and what to do where the gateway says no. */
import { useState } from 'preact/hooks';
import * as api from '../api';
import { ApiError } from '../api';
import { plural } from '../format';
import { may } from '../state/session';
import type { Applied, Change, Problem } from '../types/config';
import { Button, Field, Note } from '../ui/basics';
import { toast } from '../ui/toast';
import { Words } from '../ui/words';
import { download } from './download';
import { ProblemList, Problems } from './problems';
import { applied, base, errors, isDirty, newer, read, text, verdict } from './store';

const NOTE_MAX = 500;

export function ApplyView() {
  const [note, setNote] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [found, setFound] = useState<readonly Problem[]>([]);
  const [done, setDone] = useState<Applied | null>(null);
  const now = base.value;
  if (now === null) return null;
  const apply = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    setFound([]);
    try {
      const sent = text.peek();
      const result = await api.applyConfig(sent, now.sha256, note);
      await applied(result, sent);
      setDone(result);
      setNote('');
      toast(result.version === null ? 'it is in use; the store could not keep it as a version' : `version ${result.version} is in use`);
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      setFound(failure instanceof ApiError ? problemsIn(failure.body) : []);
      // The file is another one now: reading it again shows what changed, and how to go on.
      if (failure instanceof ApiError && failure.status === 409) await read();
    }
    setBusy(false);
  };
  if (done !== null && !isDirty.value) return <Done result={done} />;
  const why = refusalOf(now.writable, now.reason);
  const needsRestart = verdict.value?.changes.some((change) => change.needs_restart) ?? false;
  return (
    <div class="stack">
      {verdict.value && <Changes changes={verdict.value.changes} />}
      {needsRestart && why === null && (
        <Note tone="warn">What needs a restart cannot be applied from here: put it into the file by hand, and restart the gateway.</Note>
      )}
      <Problems />
      {why !== null ? (
        <Elsewhere why={why} path={now.path} />
      ) : (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void apply();
          }}
        >
          <Field id="apply-note" label="Why this change" help="It stands beside the version, for whoever looks for it later.">
            <input
              id="apply-note"
              value={note}
              maxLength={NOTE_MAX}
              aria-describedby="apply-note-help"
              onInput={(event) => setNote(event.currentTarget.value)}
            />
          </Field>
          {error && (
            <Note tone="error">
              <Words text={error} />
              <ProblemList list={found} />
            </Note>
          )}
          <div class="row">
            <Button
              kind="primary"
              type="submit"
              busy={busy}
              disabled={!isDirty.value || errors.value > 0 || verdict.value === null || needsRestart || newer.value !== null}
            >
              Apply
            </Button>
            <span class="muted small">
              {newer.value !== null
                ? 'Decide above how to go on from the newer file.'
                : !isDirty.value
                  ? 'Nothing has changed.'
                  : errors.value > 0
                    ? `${plural(errors.value, 'error')} to mend first.`
                    : needsRestart
                      ? 'Leave out what needs a restart first.'
                      : 'It holds for the next request; running ones end as they began.'}
            </span>
          </div>
        </form>
      )}
    </div>
  );
}

/** The problems that a refusal names. */
function problemsIn(body: unknown): Problem[] {
  const list: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'problems') : null;
  return Array.isArray(list) ? (list as Problem[]) : [];
}

/** Why this person cannot apply here; `null` where they can. */
function refusalOf(writable: boolean, reason: string | null): string | null {
  if (!writable) return reason ?? 'the gateway may not write its configuration file';
  return may('admin') ? null : 'applying needs the role admin';
}

export function Changes({ changes }: { changes: readonly Change[] }) {
  if (changes.length === 0) return null;
  return (
    <ul class="changes" aria-label="Changes">
      {changes.map((change) => (
        <li key={change.text}>
          <span>
            <Words text={change.text} />
          </span>
          {change.needs_restart && <span class="needs-restart">needs a restart</span>}
        </li>
      ))}
    </ul>
  );
}

function Elsewhere({ why, path }: { why: string; path: string | null }) {
  const copy = (): void => {
    navigator.clipboard.writeText(text.peek()).then(
      () => toast('copied'),
      () => toast('the browser does not allow copying here; download the text', 'error'),
    );
  };
  return (
    <div class="stack">
      <Note tone="info">
        It cannot be applied from here: {why}. Take the text along, and put it where {path ?? 'the configuration'} comes from.
      </Note>
      <div class="row">
        <Button kind="primary" onClick={copy}>
          Copy the text
        </Button>
        <Button glyph="download" onClick={() => download(text.peek(), path?.split('/').at(-1) ?? 'emberway.yaml')}>
          Download
        </Button>
      </div>
    </div>
  );
}

function Done({ result }: { result: Applied }) {
  return (
    <div class="stack">
      <Note tone="ok">
        {result.version === null ? 'It' : `Version ${result.version}`} is in use, as generation {result.generation}.{' '}
        {result.version === null ? 'The store could not keep it among the versions.' : 'The versions show it, and take you back.'}
      </Note>
      <Changes changes={result.changes} />
    </div>
  );
}
