/** A link to the same rows as CSV; the browser saves them. */
import { address, type Scope } from '../../api';
import { day } from '../../format';
import { Icon } from '../../ui/icon';

export function Csv({ path, query = {}, scope }: { path: string; query?: Record<string, string>; scope: Scope }) {
  const file = `emberway-${path}-${day(scope.from_ms)}-${day(scope.to_ms)}.csv`;
  return (
    <a class="button button-small" href={address(path, { ...scope, ...query, format: 'csv' })} download={file}>
      <Icon name="download" />
      CSV
    </a>
  );
}
