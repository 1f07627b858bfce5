/** What prompts found cached: expected against reported, what was missed and why, prompts that change too early, and hot beginnings. */
import * as api from '../api';
import { driftAdvice, driftCost, driftShare, causeHelp, causeName, ordered, partsOf, sums } from '../cache/words';
import { Lines, type Line } from '../chart/lines';
import { cachedShare, share } from '../figures';
import { count, moment, percent, usd } from '../format';
import { Heads } from '../routing/heads';
import { noneOf, recorded } from '../records';
import { now_ms } from '../state/clock';
import { useLoad } from '../state/load';
import { useStarted } from '../state/started';
import { formatPlace, linkTo, place, scopeOf } from '../state/url';
import type { Series, SeriesGroup } from '../types/reading';
import type { Cache, Miss } from '../types/state';
import { Async } from '../ui/async';
import { Bar, Card } from '../ui/basics';
import { Table, type Column } from '../ui/table';
import { Words } from '../ui/words';
import '../styles/cache.css';

const EVERY_MS = 15_000;
const POINTS = 120;
const GROUPS_MAX = 8;

export default function CachePage() {
  const key = formatPlace(place.value);
  const scope = (): api.Scope => scopeOf(place.value.params, '1h', now_ms.peek());
  const cache = useLoad(`cache|${key}`, (signal) => api.cache(scope(), signal), EVERY_MS);
  const started_ms = useStarted();
  const over = useLoad(`cache-series|${key}`, (signal) => api.series(scope(), 'none', POINTS, signal), EVERY_MS);
  return (
    <div class="stack">
      <Card title="Found cached">
        <Async of={cache} rows={9} empty={(data) => (data.prompt_tokens === 0 ? 'No prompt in this range.' : null)}>
          {(data) => <Totals cache={data} />}
        </Async>
      </Card>
      <Card title="Expected and reported" explain="expected">
        <Async
          of={over}
          rows={32}
          empty={(data) => noneOf(data, (data.groups[0]?.total.requests ?? 0) === 0, 'No requests in this range.')}
        >
          {(data) => <OverTime series={recorded(data, started_ms).series} />}
        </Async>
      </Card>
      <Card title="What was missed, and why" explain="misses" flush>
        <Async
          of={cache}
          rows={30}
          empty={(data) => (data.misses.length === 0 ? 'Nothing was missed in this range, or no route is placed by nested.' : null)}
        >
          {(data) => <Misses misses={data.misses} />}
        </Async>
      </Card>
      <Card title="Prompts that change too early" explain="drift">
        <Async
          of={cache}
          rows={10}
          empty={(data) => (data.drift.length === 0 ? 'None: where prompts of a route part, they stay apart.' : null)}
        >
          {(data) => <Drifts cache={data} />}
        </Async>
      </Card>
      <div class="grid">
        <Shares title="Cached by route" by="route" />
        <Shares title="Cached by client" by="client" />
      </div>
      <Card title="Hot beginnings" explain="heads" flush>
        <Async of={cache} rows={16}>
          {(data) => <Heads heads={data.heads} />}
        </Async>
      </Card>
    </div>
  );
}

function Totals({ cache }: { cache: Cache }) {
  const missed = sums(cache.misses);
  const figures: [string, string, string][] = [
    [
      'Found cached',
      percent(share(cache.cached_tokens, cache.prompt_tokens)),
      `${count(cache.cached_tokens)} of ${count(cache.prompt_tokens)} prompt tokens`,
    ],
    ['Expected by placement', percent(share(cache.expected_tokens, cache.prompt_tokens)), `${count(cache.expected_tokens)} tokens`],
    ['Missed', percent(share(missed.tokens, cache.prompt_tokens)), `${count(missed.tokens)} tokens that had been sent before`],
    ['What that cost', usd(missed.usd), 'more than if they had been cached'],
  ];
  const { from_ms, to_ms } = cache;
  return (
    <>
      <dl class="cache-totals">
        {figures.map(([name, value, more]) => (
          <div key={name}>
            <dt class="muted">{name}</dt>
            <dd class="cache-value">{value}</dd>
            <dd class="muted small">{more}</dd>
          </div>
        ))}
      </dl>
      {from_ms !== undefined && to_ms !== undefined && (
        <p class="muted small cache-hours">
          Sums are kept by the hour: these are of <span class="nowrap">{moment(from_ms)}</span> to{' '}
          <span class="nowrap">{moment(to_ms)}</span>.
        </p>
      )}
    </>
  );
}

function OverTime({ series }: { series: Series }) {
  const points = series.groups[0]?.points;
  if (!points) return null;
  const expected = points.expected_tokens;
  const lines: Line[] = [
    ...(expected ? [{ label: 'expected', colour: 'muted', values: partsOf(points, expected), dash: true } as const] : []),
    { label: 'reported', colour: 's1', values: partsOf(points, points.cached_tokens), fill: true },
  ];
  return (
    <Lines
      label="Part of the prompt tokens that was cached"
      starts_ms={series.starts_ms}
      from_ms={series.from_ms}
      to_ms={series.to_ms}
      lines={lines}
      format={percent}
      top={1}
    />
  );
}

function Misses({ misses }: { misses: readonly Miss[] }) {
  const most = Math.max(...misses.map(({ tokens }) => tokens), 1);
  const columns: Column<Miss>[] = [
    {
      id: 'cause',
      head: 'Cause',
      cell: ({ cause, text }) => (
        <span class="miss-cause">
          <b>{causeName(cause)}</b>
          <span class="muted small">{text}</span>
        </span>
      ),
      by: ({ cause }) => causeName(cause),
    },
    {
      id: 'tokens',
      head: 'Tokens missed',
      cell: ({ tokens }) => (
        <span class="miss-tokens">
          {tokens > 0 ? count(tokens) : '–'}
          <Bar value={tokens / most} tone="warn" />
        </span>
      ),
      by: ({ tokens }) => tokens,
      number: true,
    },
    { id: 'usd', head: 'Lost', cell: ({ tokens, usd: lost }) => (tokens > 0 ? usd(lost) : '–'), by: ({ usd: lost }) => lost, number: true },
    { id: 'requests', head: 'Answers', cell: ({ requests }) => count(requests), by: ({ requests }) => requests, number: true },
    { id: 'helps', head: 'What helps', cell: ({ cause }) => <span class="miss-help">{<Words text={causeHelp(cause) ?? ''} />}</span> },
  ];
  return <Table label="Misses by cause" columns={columns} rows={ordered(misses)} rowKey={({ cause }) => cause} />;
}

function Drifts({ cache }: { cache: Cache }) {
  return (
    <ul class="drifts">
      {cache.drift.map((drift) => (
        <li key={`${drift.route} ${drift.at_tokens}`}>
          <p>
            <a href={linkTo('cache', { route: drift.route })}>{drift.route}</a>: {driftShare(drift)}
            {driftCost(drift) ? <b>; {driftCost(drift)}</b> : null}
          </p>
          <DriftPlace at={drift.at_tokens} />
          <p class="muted">{driftAdvice(drift)}</p>
        </li>
      ))}
    </ul>
  );
}

/** Where in the first 1,024 tokens, the least that is cached, the prompts part. */
function DriftPlace({ at }: { at: number }) {
  const whole = Math.max(1_024, at * 1.5);
  return (
    <span class="drift-place" role="img" aria-label={`the same for ${count(at)} tokens, then different`}>
      <span class="drift-same" style={{ width: `${(at / whole) * 100}%` }} />
      <span class="drift-mark small">the same for {count(at)} tokens</span>
    </span>
  );
}

/** Sums are of whole steps: with few steps they would be of more than the range. */
const SUM_POINTS = 60;

function Shares({ title, by }: { title: string; by: 'route' | 'client' }) {
  const groups = useLoad(
    `cache-${by}|${formatPlace(place.value)}`,
    (signal) => api.series(scopeOf(place.value.params, '1h', now_ms.peek()), by, SUM_POINTS, signal),
    EVERY_MS,
  );
  return (
    <Card title={title} explain="cached">
      <Async of={groups} rows={16} empty={(data) => noneOf(data, data.groups.length === 0, 'No requests in this range.')}>
        {(data) => (
          <ul class="cache-shares">
            {largest(data.groups).map((group) => (
              <li key={group.key}>
                <a href={linkTo('cache', { [by]: group.key })}>{group.label || group.key}</a>
                <span>
                  {percent(cachedShare(group.total))} <span class="muted small">of {count(group.total.prompt_tokens)} tokens</span>
                </span>
                <Bar value={cachedShare(group.total)} />
              </li>
            ))}
          </ul>
        )}
      </Async>
    </Card>
  );
}

const largest = (groups: readonly SeriesGroup[]): SeriesGroup[] =>
  [...groups].sort((a, b) => b.total.prompt_tokens - a.total.prompt_tokens).slice(0, GROUPS_MAX);
