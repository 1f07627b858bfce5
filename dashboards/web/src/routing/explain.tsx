/** "Where would this request go?": paste a body or pick an example, choose a client, and see each candidate with its reason. */
import { useRef, useState } from 'preact/hooks';
import * as api from '../api';
import { count, percent } from '../format';
import type { Candidate, Explanation } from '../types/state';
import { Bar, Button, Field, Note } from '../ui/basics';
import { EXAMPLES, objection } from './explain-body';
import { leftOutWords, remarksOn, summaryOf } from './explain-words';
import { reasonWords } from './words';

interface ExplainProps {
  routes: readonly string[];
  clients: readonly string[];
}

export function ExplainRequest({ routes, clients }: ExplainProps) {
  const [body, setBody] = useState('');
  const [client, setClient] = useState('');
  const [answer, setAnswer] = useState<Explanation | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const asked = useRef<AbortController | null>(null);
  const ask = async (text: string): Promise<void> => {
    const wrong = objection(text);
    setError(wrong);
    if (wrong !== null) return;
    asked.current?.abort();
    const abort = new AbortController();
    asked.current = abort;
    setBusy(true);
    try {
      setAnswer(await api.explain(client, text, abort.signal));
    } catch (failure) {
      if (abort.signal.aborted) return;
      setAnswer(null);
      setError(failure instanceof Error ? failure.message : String(failure));
    }
    setBusy(false);
  };
  const pick = (label: string): void => {
    const example = EXAMPLES.find((one) => one.label === label);
    if (!example) return;
    const text = JSON.stringify(example.body(routes[0] ?? ''), null, 2);
    setBody(text);
    void ask(text);
  };
  return (
    <div class="explain-request">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void ask(body);
        }}
      >
        <div class="explain-choices">
          <Field id="explain-example" label="Example">
            <select id="explain-example" value="" onChange={(event) => pick(event.currentTarget.value)}>
              <option value="">pick one…</option>
              {EXAMPLES.map(({ label }) => (
                <option key={label}>{label}</option>
              ))}
            </select>
          </Field>
          <Field id="explain-client" label="Client">
            <select id="explain-client" value={client} onChange={(event) => setClient(event.currentTarget.value)}>
              <option value="">nobody in particular</option>
              {clients.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </Field>
        </div>
        <Field
          id="explain-body"
          label="Body of a chat completion or response, as JSON"
          help="Read once to answer, then forgotten: nothing is sent to a deployment, counted or stored."
          error={error}
        >
          <textarea
            id="explain-body"
            class="mono explain-body"
            rows={9}
            spellcheck={false}
            aria-describedby="explain-body-help"
            value={body}
            placeholder={'{ "model": "support-bot", "messages": [ … ] }'}
            onInput={(event) => setBody(event.currentTarget.value)}
          />
        </Field>
        <div class="row">
          <Button kind="primary" type="submit" busy={busy}>
            Explain
          </Button>
          <Button
            disabled={body === '' && answer === null}
            onClick={() => {
              setBody('');
              setAnswer(null);
              setError(null);
            }}
          >
            Clear
          </Button>
        </div>
      </form>
      <div class="explain-answer" aria-live="polite">
        {answer === null ? (
          <p class="explain-empty">The plan stands here: who would be asked, in which order, and why.</p>
        ) : (
          <Answer explanation={answer} />
        )}
      </div>
    </div>
  );
}

function Answer({ explanation }: { explanation: Explanation }) {
  return (
    <div class="stack">
      <p>{summaryOf(explanation)}</p>
      <ol class="plan" aria-label="Who would be asked, in this order">
        {explanation.candidates.map((candidate, n) => (
          <Place key={candidate.deployment} candidate={candidate} number={n + 1} prompt={explanation.prompt_tokens} />
        ))}
      </ol>
      {explanation.left_out.map((left) => (
        <Note key={left.deployment} tone="quiet">
          {leftOutWords(left)}
        </Note>
      ))}
      {explanation.cache_key && (
        <p class="muted small">
          Its beginning is hot: it would be sent with one of {explanation.cache_key.keys} cache keys, which{' '}
          {explanation.cache_key.pays ? 'pays' : 'does not pay so far'}.
        </p>
      )}
    </div>
  );
}

function Place({ candidate, number, prompt }: { candidate: Candidate; number: number; prompt: number }) {
  const { deployment, region, tier, reason, expected_tokens, room, limit, in_flight } = candidate;
  const cached = expected_tokens / Math.max(prompt, 1);
  return (
    <li>
      <span class="plan-number" aria-hidden="true">
        {number}
      </span>
      <div class="plan-body">
        <p>
          <b>{deployment}</b>{' '}
          <span class="muted">
            {region}, tier {tier}
          </span>
        </p>
        <p>
          <code>{reason}</code>: {reasonWords(reason)}
        </p>
        {remarksOn(candidate).map((remark) => (
          <p key={remark} class="muted small">
            {remark}
          </p>
        ))}
        <div class="plan-figures muted small">
          <span class="plan-bar">
            <Bar value={cached} tone="ok" />
          </span>
          <span>{percent(cached)} expected cached</span>
          <span>
            {room === null || limit === null
              ? 'room not known'
              : room < 0
                ? `does not fit, ${count(-room)} too many`
                : `room for ${count(room)} of ${count(limit)} after it`}
          </span>
          <span>{count(in_flight)} in flight</span>
        </div>
      </div>
    </li>
  );
}
