/** What happened, in words, newest first: live, filtered, older ones on demand; and who changed what. */
import { place, setParams } from '../../state/url';
import { Choice } from '../../ui/choice';
import { DemoNote } from '../../ui/demo';
import { Audit } from './audit';
import { EventList } from './list';
import './events.css';

const VIEWS = [
  { value: 'events', label: 'What happened' },
  { value: 'audit', label: 'Who changed what' },
] as const;

export default function Events() {
  const view = place.value.params['view'] === 'audit' ? 'audit' : 'events';
  return (
    <div class="stack events">
      <Choice label="View" options={VIEWS} value={view} onChange={(value) => setParams({ view: value === 'events' ? '' : value })} />
      {view === 'events' && <DemoNote />}
      {view === 'events' ? <EventList /> : <Audit />}
    </div>
  );
}
