/** Latency: who is slow, when, and where the time of single requests went. What is looked at (`of`, `by`, `a`, `b`) is in the address. */
import { useMemo } from 'preact/hooks';
import * as api from '../../api';
import { askedFrom, noneOf, recorded, recordedHeat } from '../../records';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import { useStarted } from '../../state/started';
import { place, setParams } from '../../state/url';
import type { LatencyOf, SeriesBy } from '../../types/reading';
import { Async } from '../../ui/async';
import { Card } from '../../ui/basics';
import { Choice, type Option } from '../../ui/choice';
import { Since } from '../../ui/since';
import { Heat } from '../../chart/heat';
import { Comparison } from './comparison';
import { Each } from './each';
import { Slowest } from './slowest';
import { WhoIsSlow } from './who';
import './latency.css';

/** The answers a page of latency can give; the words are used within sentences too. */
export const OF_WORDS: Record<LatencyOf, string> = { ttft: 'first token', total: 'whole request', overhead: 'gateway’s own time' };
const OF: readonly Option<LatencyOf>[] = [
  { value: 'ttft', label: 'First token' },
  { value: 'total', label: 'Whole request' },
  { value: 'overhead', label: 'Gateway’s own' },
];
export type By = Exclude<SeriesBy, 'none'>;
const BY: readonly Option<By>[] = [
  { value: 'deployment', label: 'Deployment' },
  { value: 'route', label: 'Route' },
  { value: 'region', label: 'Region' },
  { value: 'client', label: 'Client' },
];
const POINTS = 180;

export default function Latency() {
  const { params } = place.value;
  const of = OF.find(({ value }) => value === params['of'])?.value ?? 'ttft';
  const by = BY.find(({ value }) => value === params['by'])?.value ?? 'deployment';
  const range = chosen('1h');
  const every_ms = range.every_ms * 2;
  const groups = useLoad(`${range.key} ${by}`, (signal) => api.series(range.scope(), by, POINTS, signal), every_ms);
  const started_ms = useStarted();
  const known = useMemo(() => (groups.data ? recorded(groups.data, started_ms) : null), [groups.data, started_ms]);
  const since_ms = known?.since_ms ?? null;
  const heat = useLoad(
    `${range.key} ${of} ${since_ms ?? ''}`,
    (signal) => {
      const scope = range.scope();
      return api.heatmap({ ...scope, from_ms: askedFrom(scope.from_ms, scope.to_ms, since_ms) }, of, signal);
    },
    every_ms,
  );

  return (
    <div class="stack">
      <div class="row">
        <Choice label="Latency of" options={OF} value={of} onChange={(value) => setParams({ of: value })} />
        <Choice label="By" options={BY} value={by} onChange={(value) => setParams({ by: value, a: '', b: '' })} />
        <Since ms={since_ms} />
      </div>
      <div class="latency-top">
        <Card title={`Which ${by} is slow`} explain="percentile" flush>
          <Async
            of={groups}
            rows={44}
            empty={(data) => noneOf(data, !data.groups.some((group) => group.total.requests > 0), 'No requests in this range.')}
          >
            {(data) => <WhoIsSlow groups={data.groups} of={of} by={by} />}
          </Async>
        </Card>
        <Card title="All requests, by latency" explain="heatmap">
          <Async
            of={heat}
            rows={44}
            empty={(data) => noneOf(data, !data.counts.some((column) => column.some((cell) => cell > 0)), noLatency(of))}
          >
            {(data) => <Heat label={`Requests by ${OF_WORDS[of]}`} heat={recordedHeat(data, started_ms)} />}
          </Async>
        </Card>
      </div>
      <Async of={groups} rows={40}>
        {(data) => (
          <>
            <Each series={known?.series ?? data} of={of} by={by} />
            <Comparison series={known?.series ?? data} of={of} by={by} />
          </>
        )}
      </Async>
      <Slowest of={of} />
    </div>
  );
}

/** Why a heat map is empty. */
const noLatency = (of: LatencyOf): string =>
  of === 'ttft'
    ? 'No streams in this range; only streams have a first token. Look at the whole request instead.'
    : 'No requests in this range.';
