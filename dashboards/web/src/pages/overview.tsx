/** The first page: how the gateway is doing, at a glance. */
import * as api from '../api';
import { errorShare } from '../figures';
import { count, duration, percent } from '../format';
import { now_ms } from '../state/clock';
import { useLoad } from '../state/load';
import { formatPlace, place, scopeOf } from '../state/url';
import { Async } from '../ui/async';
import { Card } from '../ui/basics';

const EVERY_MS = 10_000;

export default function Overview() {
  const summary = useLoad(`overview|${formatPlace(place.value)}`, (signal) => api.summary(scopeOf(place.value.params, '1h', now_ms.peek()), signal), EVERY_MS);
  return (
    <Card title="Traffic" explain="requests">
      <Async of={summary} rows={8} empty={(data) => (data.now.requests === 0 ? 'No requests in this range.' : null)}>
        {({ now }) => (
          <p>
            {count(now.requests)} requests, {percent(errorShare(now))} failed, first token after {duration(now.ttft_p50_ms)} at the median.
          </p>
        )}
      </Async>
    </Card>
  );
}
