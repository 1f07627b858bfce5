/** Hot beginnings of prompts and how many homes each has; shared by Routing and Cache. */
import { bytes, count, percent } from '../format';
import type { Head, Routing } from '../types/state';
import { Table, type Column } from '../ui/table';

const SHOWN_MAX = 3;
const ROWS_MAX = 12;

const COLUMNS: readonly Column<Head>[] = [
  {
    id: 'digest',
    head: 'Beginning',
    cell: ({ digest, deployments }) => (
      <span class="head-name">
        <span class="mono">{digest}</span>
        <Where deployments={deployments ?? []} />
      </span>
    ),
  },
  { id: 'homes', head: 'Homes', cell: ({ homes }) => homes, by: ({ homes }) => homes, number: true },
  {
    id: 'tokens',
    head: 'Tokens/min',
    cell: ({ tokens_per_minute }) => count(tokens_per_minute),
    by: ({ tokens_per_minute }) => tokens_per_minute,
    number: true,
  },
];

/** Deployments of a head, the first of many. */
function Where({ deployments }: { deployments: readonly string[] }) {
  const more = deployments.length - SHOWN_MAX;
  return (
    <span class="muted small">
      {deployments.length > 0 && `lately at ${deployments.slice(0, SHOWN_MAX).join(', ')}`}
      {more > 0 ? ` and ${more} more` : ''}
    </span>
  );
}

export function Heads({ heads, table }: { heads: readonly Head[]; table?: Routing['table'] }) {
  return (
    <>
      {heads.length === 0 ? (
        <p class="muted pad">None has more than one home: prompts are few, short, or all different, so one deployment carries each.</p>
      ) : (
        <Table
          label="Hot beginnings of prompts"
          columns={COLUMNS}
          rows={heads.slice(0, ROWS_MAX)}
          rowKey={({ digest }) => digest}
          sort={{ id: 'tokens', down: true }}
        />
      )}
      {heads.length > 0 && (
        <p class="muted small pad">
          Beginnings that were given several homes, and asked for within ten minutes; those with one home are not listed. Tokens a minute
          are the mean of the last ten minutes, and fall when requests cease.
        </p>
      )}
      {heads.length > ROWS_MAX && <p class="muted small pad">and {heads.length - ROWS_MAX} more, less hot</p>}
      {table && (
        <p class="muted small pad">
          {count(table.blocks)} blocks are remembered, {percent(table.blocks / table.blocks_max)} of what there is room for (
          {bytes(table.bytes)}).
        </p>
      )}
    </>
  );
}
