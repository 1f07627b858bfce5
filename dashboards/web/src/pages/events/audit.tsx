/** Who changed what: every write through this page or the API, and what came of it. */
import * as api from '../../api';
import { moment, NONE, utc } from '../../format';
import { useLoad } from '../../state/load';
import type { AuditEntry } from '../../types/reading';
import { Async } from '../../ui/async';
import { Card } from '../../ui/basics';
import { Table, type Column } from '../../ui/table';
import { words } from '../../waterfall';

const LIMIT = 200;
const EVERY_MS = 30_000;

const COLUMNS: readonly Column<AuditEntry>[] = [
  {
    id: 'at',
    head: 'at',
    by: (one) => one.at_ms,
    cell: (one) => (
      <span class="nowrap" title={utc(one.at_ms)}>
        {moment(one.at_ms)}
      </span>
    ),
  },
  { id: 'who', head: 'who', by: (one) => one.who, cell: (one) => one.who },
  { id: 'did', head: 'asked for', by: (one) => one.subject, cell: (one) => <code>{`${one.action} ${one.subject}`}</code> },
  { id: 'result', head: 'result', by: (one) => one.result, cell: (one) => words(one.result) },
  { id: 'text', head: 'with', cell: (one) => one.text ?? NONE },
];

export function Audit() {
  const read = useLoad('audit', (signal) => api.audit(LIMIT, signal), EVERY_MS);
  return (
    <Card title="Who changed what" flush>
      <Async of={read} rows={40} empty={(data) => (data.entries.length === 0 ? 'Nobody has changed anything yet.' : null)}>
        {(data) => (
          <Table
            label="Changes"
            columns={COLUMNS}
            rows={data.entries}
            rowKey={(one) => `${one.at_ms} ${one.who} ${one.action} ${one.subject}`}
          />
        )}
      </Async>
    </Card>
  );
}
