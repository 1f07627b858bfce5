/** The first page: what needs somebody, how the gateway is doing against the time before, and the same over time. */
import { useMemo } from 'preact/hooks';
import * as api from '../../api';
import { tick } from '../../live';
import { withTick } from '../../series';
import { noneOf, recorded } from '../../records';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import { useStarted } from '../../state/started';
import type { Series } from '../../types/reading';
import { Async } from '../../ui/async';
import { DemoNote } from '../../ui/demo';
import './overview.css';
import { Charts } from './charts';
import { useMarks } from './marks';
import { Needs } from './needs';
import { Parts } from './parts';
import { Tiles } from './tiles';

/** An hour in steps of ten seconds, so that live ticks fit in; the gateway widens what is asked to whole steps. */
const POINTS = 362;
const NOTHING = 'No requests in this range. Choose a longer one, or point an application’s base URL at the gateway.';

export default function Overview() {
  const range = chosen('1h');
  const summary = useLoad(range.key, (signal) => api.summary(range.scope(), signal), range.every_ms);
  const read = useLoad(range.key, (signal) => api.series(range.scope(), 'none', POINTS, signal), range.every_ms * 3);
  const whole = useLive(read.data, range.live && !range.filtered);
  const started_ms = useStarted();
  const { series, since_ms } = useMemo(() => (whole ? recorded(whole, started_ms) : { series: null, since_ms: null }), [whole, started_ms]);
  // Rates are of the time since the records begin, which the series tells.
  const tiles = read.data === null && read.error === null ? { ...summary, data: null } : summary;
  const marks = useMarks(range);

  return (
    <div class="stack">
      <Needs />
      <DemoNote />
      <Async of={tiles} rows={36}>
        {(told) => <Tiles summary={told} series={series} since_ms={since_ms} before={range.before} />}
      </Async>
      <Async of={read} rows={66} empty={(data) => noneOf(data, quiet(series ?? data), NOTHING)}>
        {(data) => (
          <>
            <Charts series={series ?? data} since_ms={since_ms} marks={marks} />
            <Parts />
          </>
        )}
      </Async>
    </div>
  );
}

const quiet = (series: Series): boolean => series.groups.every((group) => group.points.requests.every((count) => count === 0));

/** The series with the ticks since it was read, while it follows the present. */
function useLive(read: Series | null, follows: boolean): Series | null {
  const now = tick.value;
  const kept = useMemo<{ series: Series | null }>(() => ({ series: read }), [read]);
  if (follows && now !== null && kept.series !== null) kept.series = withTick(kept.series, now);
  return kept.series;
}
