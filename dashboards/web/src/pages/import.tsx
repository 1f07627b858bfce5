/** Moving in from LiteLLM: paste or open its file, see what became of each line, and go on with the configuration that was made of it. */
import { useRef, useState } from 'preact/hooks';
import * as api from '../api';
import { download } from '../configure/download';
import { FILE_BYTES_MAX, countsOf, objection, toneOf, type Grade } from '../imports/words';
import { linkTo } from '../state/url';
import type { Imported } from '../types/config';
import { Button, Card, Field, Note, Pill } from '../ui/basics';
import { Choice } from '../ui/choice';
import { confirm } from '../ui/dialog';
import { Table, type Column } from '../ui/table';
import { toast } from '../ui/toast';
import { Words } from '../ui/words';
import '../styles/import.css';

type Line = Imported['lines'][number];

const COLUMNS: readonly Column<Line>[] = [
  { id: 'line', head: 'Line', cell: ({ line }) => (line === 0 ? '–' : line), by: ({ line }) => line, number: true },
  { id: 'grade', head: 'Grade', cell: ({ grade }) => <Pill tone={toneOf(grade)}>{grade}</Pill>, by: ({ grade }) => grade },
  { id: 'path', head: 'What stood there', cell: ({ path }) => <span class="mono small import-path">{path}</span>, by: ({ path }) => path },
  { id: 'text', head: 'What becomes of it', cell: ({ text }) => <Words text={text} /> },
];

export default function ImportPage() {
  const [source, setSource] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [result, setResult] = useState<Imported | null>(null);
  const [busy, setBusy] = useState(false);
  const file = useRef<HTMLInputElement>(null);
  const convert = async (text: string): Promise<void> => {
    const wrong = objection(text);
    setError(wrong);
    if (wrong !== null) return;
    setBusy(true);
    try {
      setResult(await api.importConfig('litellm', text));
    } catch (failure) {
      setResult(null);
      setError(failure instanceof Error ? failure.message : String(failure));
    }
    setBusy(false);
  };
  const open = async (chosen: File | undefined): Promise<void> => {
    if (!chosen) return;
    if (chosen.size > FILE_BYTES_MAX) return setError('That file is longer than the 1 MiB that are read.');
    const text = await chosen.text();
    setSource(text);
    await convert(text);
  };
  return (
    <div class="stack">
      <Card title="From LiteLLM">
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void convert(source);
          }}
        >
          <p>
            Its configuration becomes one of Emberway. Nothing is put to use, connected to or stored; secrets in the clear are never copied.
          </p>
          <Field id="import-text" label="LiteLLM’s config.yaml" help="Files that it includes are not read: paste them in." error={error}>
            <textarea
              id="import-text"
              class="mono import-text"
              rows={12}
              spellcheck={false}
              aria-describedby="import-text-help"
              value={source}
              placeholder={'model_list:\n  - model_name: support-bot\n    litellm_params:\n      model: azure/support'}
              onInput={(event) => setSource(event.currentTarget.value)}
            />
          </Field>
          <div class="row">
            <Button kind="primary" type="submit" busy={busy}>
              Convert
            </Button>
            <Button onClick={() => file.current?.click()}>Open a file…</Button>
            <input
              ref={file}
              type="file"
              hidden
              accept=".yaml,.yml"
              aria-label="Open a file"
              onChange={(event) => {
                void open(event.currentTarget.files?.[0]);
                event.currentTarget.value = '';
              }}
            />
          </div>
        </form>
      </Card>
      <div class="stack" aria-live="polite">
        {result && <Result result={result} />}
      </div>
    </div>
  );
}

function Result({ result }: { result: Imported }) {
  const [grade, setGrade] = useState<Grade | 'all'>('all');
  const counts = countsOf(result.lines);
  const left = counts.filter(({ grade: own, count }) => count > 0 && (own === 'manual' || own === 'unsupported'));
  const options = [
    { value: 'all' as const, label: `all ${result.lines.length}` },
    ...counts
      .filter(({ count }) => count > 0)
      .map((known) => ({ value: known.grade, label: `${known.grade} ${known.count}`, title: known.meaning })),
  ];
  return (
    <>
      <Note tone={left.length === 0 ? 'ok' : 'warn'}>
        {result.yaml === ''
          ? 'No model of Azure OpenAI stands in the file, so there is nothing to carry over.'
          : left.length === 0
            ? 'Everything was carried over, exactly or approximately.'
            : 'Something is left for you: what is manual you fill in, what is unsupported stays with LiteLLM or goes.'}
      </Note>
      <Card
        title="What became of each line"
        flush
        actions={<Choice label="Show grades" options={options} value={grade} onChange={setGrade} />}
      >
        <Table
          label="Each line and its grade"
          columns={COLUMNS}
          rows={result.lines.filter((line) => grade === 'all' || line.grade === grade)}
          rowKey={({ line, path, text }) => `${line} ${path} ${text}`}
        />
      </Card>
      {Object.keys(result.variables ?? {}).length > 0 && (
        <Card title="Variables to set">
          <dl class="facts">
            {Object.entries(result.variables ?? {}).map(([name, what]) => (
              <div key={name}>
                <dt class="mono">{name}</dt>
                <dd>
                  <Words text={what} />
                </dd>
              </div>
            ))}
          </dl>
        </Card>
      )}
      {(result.problems?.length ?? 0) > 0 && (
        <Card title="What the check will say">
          <ul class="import-problems">
            {result.problems?.map(({ severity, path, line, message }) => (
              <li key={`${path} ${message}`}>
                <Pill tone={severity === 'error' ? 'error' : 'warn'}>{line > 0 ? `line ${line}` : severity}</Pill>
                <span>
                  <span class="mono small">{path}</span> <Words text={message} />
                </span>
              </li>
            ))}
          </ul>
        </Card>
      )}
      {result.yaml !== '' && (
        <Card title="The configuration" actions={<Actions yaml={result.yaml} />}>
          <pre class="import-yaml" tabIndex={0} aria-label="The configuration as YAML">
            {result.yaml}
          </pre>
        </Card>
      )}
    </>
  );
}

function Actions({ yaml }: { yaml: string }) {
  const copy = (): void => {
    navigator.clipboard.writeText(yaml).then(
      () => toast('copied'),
      () => toast('the browser does not allow copying here; download it', 'error'),
    );
  };
  return (
    <>
      <Button small onClick={copy}>
        Copy
      </Button>
      <Button small glyph="download" onClick={() => download(yaml, 'emberway.yaml')}>
        Download
      </Button>
      <Button small kind="primary" onClick={() => void edit(yaml)}>
        Open in Configure…
      </Button>
    </>
  );
}

/** Puts the text into the editor, in the place of what is there; it can be undone there. */
async function edit(yaml: string): Promise<void> {
  const text = 'It takes the place of the text that is edited there; nothing is put to use before you apply it, and it can be undone.';
  if (!(await confirm({ title: 'Open it in Configure?', text, act: 'Open' }))) return;
  const { base, change, read } = await import('../configure/store');
  if (base.peek() === null) await read();
  change(yaml);
  location.hash = linkTo('configure', { step: 'difference' });
}
