/** Percentiles over time for each group: all p95s in one chart, or each group in its own on one scale. */
import { useMemo, useState } from 'preact/hooks';
import { nth } from '../../chart/colours';
import { Lines, type Line } from '../../chart/lines';
import { duration } from '../../format';
import { bySlowness } from '../../slowness';
import type { LatencyOf, Series, SeriesGroup } from '../../types/reading';
import { Card } from '../../ui/basics';
import { Choice } from '../../ui/choice';
import { OF_WORDS, type By } from './index';

/** As many lines as there are colours, and as many small charts as still can be read. */
const TOGETHER_MAX = 8;
const APART_MAX = 24;
type Layout = 'together' | 'apart';

export function Each({ series, of, by }: { series: Series; of: LatencyOf; by: By }) {
  const [layout, setLayout] = useState<Layout>('together');
  const ranked = useMemo(() => bySlowness(series.groups, of).map((one) => one.group), [series, of]);
  const frame = { starts_ms: series.starts_ms, from_ms: series.from_ms, to_ms: series.to_ms, format: duration };
  const together = useMemo(
    (): Line[] =>
      ranked.slice(0, TOGETHER_MAX).map((group, i) => ({ label: name(group), colour: nth(i), values: group.points[`${of}_p95_ms`] })),
    [ranked, of],
  );
  const top = useMemo(() => highest(ranked, of), [ranked, of]);
  if (ranked.length === 0) return null;
  const title = layout === 'together' ? `p95 of each ${by}` : `Each ${by}`;
  return (
    <Card
      title={title}
      class="each"
      actions={
        <Choice
          label="Layout"
          value={layout}
          onChange={setLayout}
          options={[
            { value: 'together', label: 'Together' },
            { value: 'apart', label: 'Apart' },
          ]}
        />
      }
    >
      {layout === 'together' ? (
        <Lines {...frame} label={`${OF_WORDS[of]}, p95`} lines={together} height={240} />
      ) : (
        <div class="grid each-grid">
          {ranked.slice(0, APART_MAX).map((group) => (
            <One key={group.key} group={group} of={of} frame={frame} top={top} />
          ))}
        </div>
      )}
      {layout === 'together' && ranked.length > TOGETHER_MAX && (
        <p class="muted small">
          The {TOGETHER_MAX} slowest of {ranked.length}.
        </p>
      )}
    </Card>
  );
}

interface OneProps {
  group: SeriesGroup;
  of: LatencyOf;
  frame: Pick<Parameters<typeof Lines>[0], 'starts_ms' | 'from_ms' | 'to_ms' | 'format'>;
  top: number;
}

function One({ group, of, frame, top }: OneProps) {
  const lines = useMemo(
    (): Line[] => [
      { label: 'p50', colour: 's1', values: group.points[`${of}_p50_ms`] },
      { label: 'p95', colour: 's2', values: group.points[`${of}_p95_ms`] },
      { label: 'p99', colour: 's4', values: group.points[`${of}_p99_ms`], dash: true },
    ],
    [group, of],
  );
  return (
    <section class="each-one" aria-label={name(group)}>
      <h3>{name(group)}</h3>
      <Lines {...frame} label={`${OF_WORDS[of]} of ${name(group)}`} lines={lines} height={140} top={top} />
    </section>
  );
}

/** The common top of the small charts: the highest p99 but for the topmost twentieth, which would flatten all others. */
function highest(groups: readonly SeriesGroup[], of: LatencyOf): number {
  const known = groups.flatMap((group) => group.points[`${of}_p99_ms`]).filter((value) => value !== null);
  known.sort((a, b) => a - b);
  return known[Math.floor((known.length - 1) * 0.95)] ?? 0;
}

const name = (group: SeriesGroup): string => group.label || group.key;
