/** Each day as a column: what tokens cost, what caching saved, tokens, or requests. */
import { useMemo, useState } from 'preact/hooks';
import * as api from '../../api';
import type { Colour } from '../../chart/colours';
import { Lines, type Line } from '../../chart/lines';
import { count, usdShort } from '../../format';
import { useLoad } from '../../state/load';
import { chosen } from '../../state/scope';
import type { UsageRow } from '../../types/reading';
import { Async } from '../../ui/async';
import { Card } from '../../ui/basics';
import { Choice } from '../../ui/choice';
import { daily } from '../../usage';

const HALF_DAY_MS = 43_200_000;

interface Measure {
  label: string;
  format: (value: number | null) => string;
  parts: readonly { label: string; colour: Colour; of: (row: UsageRow) => number }[];
}

const MEASURES = {
  usd: { label: 'Price', format: usdShort, parts: [{ label: 'tokens’ price', colour: 's5', of: (row) => row.token_usd }] },
  saved: { label: 'Saved', format: usdShort, parts: [{ label: 'saved by caching', colour: 's3', of: (row) => row.saved_usd }] },
  tokens: {
    label: 'Tokens',
    format: count,
    // Drawn over each other, the whole first: what stands out above is the rest.
    parts: [
      { label: 'prompt', colour: 's1', of: (row) => row.prompt_tokens },
      { label: 'of it cached', colour: 's3', of: (row) => row.cached_tokens },
    ],
  },
  requests: {
    label: 'Requests',
    format: count,
    parts: [
      { label: 'requests', colour: 's1', of: (row) => row.requests },
      { label: 'errors', colour: 'error', of: (row) => row.errors },
    ],
  },
} satisfies Record<string, Measure>;
type Name = keyof typeof MEASURES;
const NAMES: readonly Name[] = ['usd', 'saved', 'tokens', 'requests'];

export function Days() {
  const [name, setName] = useState<Name>('usd');
  const range = chosen('7d');
  const read = useLoad(`${range.key} days`, (signal) => api.usage(range.scope(), 'day', signal), range.every_ms);
  return (
    <Card
      title="Day by day"
      explain="days"
      class="each"
      actions={
        <Choice label="Measure" value={name} onChange={setName} options={NAMES.map((value) => ({ value, label: MEASURES[value].label }))} />
      }
    >
      <Async of={read} rows={31} empty={(data) => (data.rows.length === 0 ? 'No requests in this range.' : null)}>
        {(data) => <Columns rows={data.rows} measure={MEASURES[name]} />}
      </Async>
    </Card>
  );
}

function Columns({ rows, measure }: { rows: readonly UsageRow[]; measure: Measure }) {
  const days = useMemo(() => daily(rows), [rows]);
  const lines = useMemo(
    (): Line[] =>
      measure.parts.map((part) => ({
        label: part.label,
        colour: part.colour,
        bars: true,
        values: days.rows.map((row) => (row === null ? null : part.of(row))),
      })),
    [days, measure],
  );
  return (
    <Lines
      label={`${measure.label} by day`}
      starts_ms={days.starts_ms}
      from_ms={(days.starts_ms[0] ?? 0) - HALF_DAY_MS}
      to_ms={(days.starts_ms.at(-1) ?? 0) + HALF_DAY_MS}
      lines={lines}
      format={measure.format}
      height={220}
    />
  );
}
