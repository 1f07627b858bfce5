/** What the gateway says of the text, in the order of lines; each leads to its place. */
import { plural } from '../format';
import type { Problem } from '../types/config';
import { Pill, type Tone } from '../ui/basics';
import { Words } from '../ui/words';
import { checking, problems, verdictError } from './store';

const TONES: Record<Problem['severity'], Tone> = { error: 'error', warning: 'warn', remark: 'info' };
const SHOWN_MAX = 50;

/** `2 errors, 1 warning`, or that there is none. */
export function summaryOf(list: readonly Problem[]): string {
  const parts = (['error', 'warning', 'remark'] as const).flatMap((severity) => {
    const found = list.filter((problem) => problem.severity === severity).length;
    return found > 0 ? [plural(found, severity)] : [];
  });
  return parts.length > 0 ? parts.join(', ') : 'no problems';
}

/** One line about the text as it is now. */
export function Verdict() {
  const worst =
    problems.value.find(({ severity }) => severity === 'error') ?? problems.value.find(({ severity }) => severity === 'warning');
  if (verdictError.value !== null) return <Pill tone="warn">not checked: {verdictError.value}</Pill>;
  return (
    <span aria-live="polite">
      <Pill tone={worst ? TONES[worst.severity] : 'ok'}>
        {summaryOf(problems.value)}
        {checking.value ? ', checking…' : ''}
      </Pill>
    </span>
  );
}

type Go = (problem: Problem) => void;

/** The problems of the edited text. */
export function Problems({ onGo }: { onGo?: Go }) {
  return <ProblemList list={problems.value} {...(onGo ? { onGo } : {})} />;
}

export function ProblemList({ list, onGo }: { list: readonly Problem[]; onGo?: Go }) {
  if (list.length === 0) return null;
  return (
    <ul class="problems" aria-label="Problems">
      {list.slice(0, SHOWN_MAX).map((problem) => (
        <li key={`${problem.path} ${problem.line} ${problem.message}`}>
          <Pill tone={TONES[problem.severity]}>
            <span class="hidden">{problem.severity}: </span>
            {onGo && problem.line !== null ? (
              <button type="button" class="link" onClick={() => onGo(problem)}>
                line {problem.line}
              </button>
            ) : (
              problem.line !== null && <span class="muted">line {problem.line}</span>
            )}
          </Pill>
          <span>
            {problem.path && <span class="mono small">{problem.path} </span>}
            <Words text={problem.message} />
            {problem.help && (
              <span class="muted">
                {'; '}
                <Words text={problem.help} />
              </span>
            )}
          </span>
        </li>
      ))}
      {list.length > SHOWN_MAX && <li class="muted">and {list.length - SHOWN_MAX} more</li>}
    </ul>
  );
}
