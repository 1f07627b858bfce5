/** Which events: kind, severity, and a word that is in them. In the address, so that a list can be shared. */
import { isKind, KINDS } from '../../events';
import { setParams } from '../../state/url';
import type { EventKind, Severity } from '../../types/reading';
import { Choice, type Option } from '../../ui/choice';

const SEVERITIES: readonly Option<Severity | 'all'>[] = [
  { value: 'all', label: 'All' },
  { value: 'warn', label: 'Warnings and errors', title: 'What wants somebody today, or now' },
  { value: 'error', label: 'Errors', title: 'What wants somebody now' },
];

interface FilterProps {
  kind: EventKind | null;
  severity: Severity | null;
  text: string;
}

export function Filter({ kind, severity, text }: FilterProps) {
  return (
    <div class="row event-filter">
      <Choice
        label="At least"
        options={SEVERITIES}
        value={severity === null || severity === 'info' ? 'all' : severity}
        onChange={(value) => setParams({ severity: value === 'all' ? '' : value })}
      />
      <label class="event-field">
        <span>Kind</span>
        <select
          value={kind ?? ''}
          onChange={(event) => setParams({ kind: isKind(event.currentTarget.value) ? event.currentTarget.value : '' })}
        >
          <option value="">all</option>
          {Object.entries(KINDS).map(([value, { label }]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label class="event-field">
        <span>With</span>
        <input
          type="search"
          value={text}
          placeholder="a name or a word"
          onInput={(event) => setParams({ text: event.currentTarget.value }, true)}
        />
      </label>
    </div>
  );
}
