/** The tiles: each figure now, against the time before, with its shape over the range. */
import { compared, type PerTime } from '../../compared';
import { type against, cachedShare, errorShare } from '../../figures';
import { NONE, count, duration, percent, perSecond, usdShort } from '../../format';
import { linkTo } from '../../state/url';
import { plus, rates, shares, thinned } from '../../series';
import { ticks } from '../../live';
import type { Figures, LatencyOf, Points, Series, Summary } from '../../types/reading';
import { FILTERS, place } from '../../state/url';
import { Tile } from '../../ui/tile';

const SPARK_POINTS = 60;

interface TilesProps {
  summary: Summary;
  series: Series | null;
  /** Where the records begin, if within the range. */
  since_ms: number | null;
  before: string;
}

/** None where no records are kept: a zero would be made up. */
export function Tiles({ summary, series, since_ms, before }: TilesProps) {
  const rate = compared(summary, since_ms);
  if (rate === null) return null;
  const { now, before: then, money } = summary;
  const points = series?.groups[0]?.points;
  const spark = (of: (points: Points, series: Series) => (number | null)[]): (number | null)[] =>
    points && series ? thinned(of(points, series), SPARK_POINTS) : [];
  const { change } = rate;
  const changed = (of: keyof PerTime): number | null => change(rate.now[of], rate.then?.[of] ?? null);
  const hosting = money.hosting_usd_per_hour;
  return (
    <div class="tiles">
      <Tile
        label="Requests"
        term="requests"
        value={perSecond(rate.now.requests)}
        more={[['in all', count(now.requests)]]}
        change={changed('requests')}
        better="neither"
        before={before}
        spark={spark((p, s) => rates(s, p.requests))}
      />
      <Running />
      <Tile
        label="Errors"
        term="errors"
        value={percent(errorShare(now))}
        more={[
          ['failed', count(now.errors)],
          ['rescued', count(now.failovers)],
        ]}
        change={change(errorShare(now), errorShare(then))}
        better="down"
        before={before}
        spark={spark((p) => shares(p.errors, p.requests))}
        colour="error"
        href={linkTo('events', { severity: 'warn' })}
      />
      <Latency
        label="First token p95"
        of="ttft"
        now={now}
        then={then}
        change={change}
        before={before}
        spark={spark((p) => p.ttft_p95_ms)}
      />
      <Latency
        label="Whole request p95"
        of="total"
        now={now}
        then={then}
        change={change}
        before={before}
        spark={spark((p) => p.total_p95_ms)}
      />
      <Latency
        label="Gateway’s own p95"
        of="overhead"
        now={now}
        then={then}
        change={change}
        before={before}
        spark={spark((p) => p.overhead_p95_ms)}
      />
      <Tile
        label="Tokens"
        term="tokens"
        value={perSecond(rate.now.tokens)}
        more={[
          ['prompt', count(now.prompt_tokens)],
          ['completion', count(now.completion_tokens)],
        ]}
        change={changed('tokens')}
        better="neither"
        before={before}
        spark={spark((p, s) => rates(s, plus(p.prompt_tokens, p.completion_tokens)))}
      />
      <Tile
        label="Cached"
        term="cached"
        value={percent(cachedShare(now))}
        more={[['tokens', count(now.cached_tokens)]]}
        change={change(cachedShare(now), cachedShare(then))}
        better="up"
        before={before}
        spark={spark((p) => shares(p.cached_tokens, p.prompt_tokens))}
        colour="s3"
        href={linkTo('cache')}
      />
      <Tile
        label="Cost"
        term="money"
        value={`${usdShort(rate.now.cost_usd)}/h`}
        more={[
          ['hosting', hosting === null ? NONE : `${usdShort(hosting)}/h`],
          ['tokens', `${usdShort(rate.now.token_usd)}/h`],
        ]}
        change={changed('cost_usd')}
        better="down"
        before={before}
        spark={spark((p, s) => rates(s, p.token_usd))}
        colour="s5"
        href={linkTo('usage', { range: '7d' })}
      />
      <Tile
        label="Saved by caching"
        term="saved"
        value={`${usdShort(rate.now.saved_usd)}/h`}
        more={[['in all', usdShort(now.saved_usd)]]}
        change={changed('saved_usd')}
        better="up"
        before={before}
        spark={spark((p, s) => rates(s, p.saved_usd))}
        colour="s3"
      />
    </div>
  );
}

/** What runs this moment, from the live stream; the shape is of the minutes that the page has been open. */
function Running() {
  const filtered = FILTERS.some((filter) => place.value.params[filter]);
  const seen = ticks.value;
  const last = seen.at(-1);
  const values = seen.map((one) => one.status.requests_running);
  return (
    <Tile
      label={filtered ? 'Running now, all traffic' : 'Running now'}
      term="running"
      value={count(last?.status.requests_running)}
      more={last ? [['at most', count(Math.max(...values))]] : []}
      change={null}
      better="neither"
      before=""
      spark={thinned(values, SPARK_POINTS)}
      colour="s7"
    />
  );
}

interface LatencyProps {
  label: string;
  of: LatencyOf;
  now: Figures;
  then: Figures;
  change: ReturnType<typeof against>;
  before: string;
  spark: readonly (number | null)[];
}

/** p95 is the figure of the tile: the median hides what people complain about, p99 jumps. */
function Latency({ label, of, now, then, change, before, spark }: LatencyProps) {
  return (
    <Tile
      label={label}
      term={of}
      value={duration(now[`${of}_p95_ms`])}
      more={[
        ['p50', duration(now[`${of}_p50_ms`])],
        ['p99', duration(now[`${of}_p99_ms`])],
      ]}
      change={change(now[`${of}_p95_ms`], then[`${of}_p95_ms`])}
      better="down"
      before={before}
      spark={spark}
      colour="s2"
      href={linkTo('latency', { of })}
    />
  );
}
