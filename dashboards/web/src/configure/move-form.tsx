/** "Move N % of a route's traffic to another region", step by step: what would change is said before it is put into the text. */
import { useState } from 'preact/hooks';
import { Button, Field, Note } from '../ui/basics';
import { toast } from '../ui/toast';
import { items, word } from './document';
import { planMove } from './move';
import { change, parsed, text } from './store';
import { tiersOf } from './tiers';

export function MoveForm() {
  const values = parsed.value.values ?? undefined;
  const routes = items(values, ['routes']).map((route) => word(route, ['name']));
  const [chosen, setRoute] = useState('');
  const [fromChosen, setFrom] = useState('');
  const [toChosen, setTo] = useState('');
  const [percent, setPercent] = useState(25);
  const [apart, setApart] = useState(true);
  // What was put into the text last: the same move again would start from its result. Another choice, and any other edit, plans anew.
  const [put, setPut] = useState<{ text: string; wish: string; words: readonly string[] } | null>(null);
  const route = routes.includes(chosen) ? chosen : (routes[0] ?? '');
  const regions = regionsOf(route);
  const from = regions.includes(fromChosen) ? fromChosen : (regions[0] ?? '');
  const to = regions.includes(toChosen) && toChosen !== from ? toChosen : (regions.find((region) => region !== from) ?? '');
  const pool = word(values, ['routes', routes.indexOf(route), 'pool']);
  const isShared = items(values, ['routes']).filter((other) => word(other, ['pool']) === pool).length > 1;
  if (routes.length === 0) return <p class="muted">There is no route yet.</p>;
  if (regions.length < 2) {
    return (
      <>
        <RouteChoice routes={routes} route={route} onChange={setRoute} />
        <p class="muted">The pool of {route} is in one region only; add a deployment of another to it first.</p>
      </>
    );
  }
  const move = planMove(values, { route, from, to, percent, apart: isShared && apart });
  const done = put !== null && put.text === text.value && put.wish === wishOf(route, from, to, percent, apart) ? put.words : null;
  const apply = (): void => {
    if ('refusal' in move) return;
    const made = move.edit(text.peek());
    if (made === null) toast('this change cannot be made by the form; make it in YAML', 'error');
    else {
      change(made);
      setPut({ text: made, wish: wishOf(route, from, to, percent, apart), words: move.words });
      toast('put into the text; look at the difference before you apply it');
    }
  };
  return (
    <div class="stack">
      <div class="settings">
        <RouteChoice routes={routes} route={route} onChange={setRoute} />
        <RegionChoice id="move-from" label="From" regions={regions} value={from} onChange={setFrom} />
        <RegionChoice id="move-to" label="To" regions={regions.filter((region) => region !== from)} value={to} onChange={setTo} />
        <Field id="move-percent" label="How much of what it has there" help={`${percent} %`}>
          <input
            id="move-percent"
            type="range"
            min={5}
            max={100}
            step={5}
            value={percent}
            aria-describedby="move-percent-help"
            onInput={(event) => setPercent(Number(event.currentTarget.value))}
          />
        </Field>
      </div>
      {isShared && (
        <label class="check">
          <input type="checkbox" checked={apart} onChange={(event) => setApart(event.currentTarget.checked)} />
          <span>
            Only {route}: give it a pool of its own. Otherwise all routes of pool {pool} move.
          </span>
        </label>
      )}
      {done !== null ? (
        <div class="move-plan" aria-live="polite">
          <p>
            <b>It is in the text</b>
          </p>
          <ul>
            {done.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
          <p class="muted small">Look at the difference before you apply it. Another choice above plans a move from there.</p>
        </div>
      ) : 'refusal' in move ? (
        <Note tone="warn">{move.refusal}</Note>
      ) : (
        <div class="move-plan" aria-live="polite">
          <p>
            <b>What would change</b>
          </p>
          <ul>
            {move.words.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
          {move.warnings.map((line) => (
            <p key={line} class="muted small">
              {line}
            </p>
          ))}
        </div>
      )}
      <div class="row">
        <Button kind="primary" disabled={done !== null || 'refusal' in move || move.words.length === 0} onClick={apply}>
          Put into the text
        </Button>
      </div>
    </div>
  );
}

/** A wish as one word, to compare. */
const wishOf = (...parts: readonly (string | number | boolean)[]): string => JSON.stringify(parts);

/** Regions of the route's pool, in the order of its tiers. */
function regionsOf(route: string): string[] {
  const values = parsed.value.values ?? undefined;
  const name = word(
    items(values, ['routes']).find((other) => word(other, ['name']) === route),
    ['pool'],
  );
  const pool = items(values, ['pools']).findIndex((other) => word(other, ['name']) === name);
  return pool < 0
    ? []
    : [
        ...new Set(
          tiersOf(values, pool)
            .flat()
            .map(({ region }) => region),
        ),
      ].filter((region) => region !== '');
}

function RouteChoice({ routes, route, onChange }: { routes: readonly string[]; route: string; onChange: (route: string) => void }) {
  return <RegionChoice id="move-route" label="Route" regions={routes} value={route} onChange={onChange} />;
}

interface ChoiceProps {
  id: string;
  label: string;
  regions: readonly string[];
  value: string;
  onChange: (value: string) => void;
}

function RegionChoice({ id, label, regions, value, onChange }: ChoiceProps) {
  return (
    <Field id={id} label={label}>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {regions.map((region) => (
          <option key={region}>{region}</option>
        ))}
      </select>
    </Field>
  );
}
