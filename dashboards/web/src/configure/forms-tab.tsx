/** The forms: a section at a time, each a view of the same text. What they offer is what operators change; the rest is in YAML. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { place, setParams } from '../state/url';
import { Button, Field, Note } from '../ui/basics';
import { toast } from '../ui/toast';
import { items, word } from './document';
import type { Path } from './document';
import { insertAt } from './edits';
import { Setting } from './field';
import { List, Paged, Part } from './form-parts';
import { MoveForm } from './move-form';
import { change, parsed, text } from './store';
import { declared } from './tiers';
import { TierForm } from './tier-form';

const SECTIONS = [
  ['move', 'Move traffic'],
  ['pools', 'Pools'],
  ['routes', 'Routes'],
  ['deployments', 'Deployments'],
  ['defaults', 'Failover and health'],
  ['clients', 'Clients'],
] as const;
type SectionId = (typeof SECTIONS)[number][0];

const isSection = (id: string | undefined): id is SectionId => SECTIONS.some(([own]) => own === id);

export function FormsTab() {
  const wanted = place.value.params['part'];
  const section: SectionId = isSection(wanted) ? wanted : 'move';
  const { mistake } = parsed.value;
  if (mistake) {
    return (
      <Note tone="error">
        The forms cannot read the text: line {mistake.line}: {mistake.message} Mend it in YAML first.
      </Note>
    );
  }
  return (
    <div class="forms">
      <nav aria-label="Parts of the configuration">
        {SECTIONS.map(([id, label]) => (
          <button key={id} type="button" aria-current={id === section ? 'true' : undefined} onClick={() => setParams({ part: id }, true)}>
            {label}
          </button>
        ))}
      </nav>
      <div class="forms-body">{BODIES[section]()}</div>
    </div>
  );
}

const BODIES: Record<SectionId, () => ComponentChildren> = {
  move: () => (
    <Part title="Move traffic to another region" text="Shares of tiers change; what moves finds no cache there at first.">
      <MoveForm />
    </Part>
  ),
  pools: () => <Pools />,
  routes: () => <Routes />,
  deployments: () => <Deployments />,
  defaults: () => <Defaults />,
  clients: () => <Clients />,
};

function Pools() {
  return (
    <List of="pools" text="Deployments of the same model, in tiers. Drag a deployment, or use its buttons.">
      {(pool, name) => <TierForm pool={pool} name={name} />}
    </List>
  );
}

const ROUTE_FIELDS: readonly (readonly [string[], string[] | null])[] = [
  [['policy'], ['defaults', 'policy']],
  [['aliases'], null],
  [
    ['failover', 'max_attempts'],
    ['defaults', 'failover', 'max_attempts'],
  ],
  [
    ['failover', 'deadline'],
    ['defaults', 'failover', 'deadline'],
  ],
  [
    ['failover', 'hedging', 'max_share'],
    ['defaults', 'failover', 'hedging', 'max_share'],
  ],
  [
    ['timeouts', 'first_byte'],
    ['defaults', 'timeouts', 'first_byte'],
  ],
  [
    ['waiting', 'max_wait'],
    ['defaults', 'waiting', 'max_wait'],
  ],
  [['limits', 'tokens_per_minute'], null],
  [['limits', 'requests_per_minute'], null],
  [['client_limits', 'tokens_per_minute'], null],
];

function Routes() {
  const values = parsed.value.values ?? undefined;
  const pools = items(values, ['pools']).map((pool) => word(pool, ['name']));
  return (
    <List
      of="routes"
      text="The names that clients put into `model`, and the rules for using each."
      add={() => <NewRoute pools={pools} />}
      removable
    >
      {(route) => (
        <div class="settings">
          <Setting path={['routes', route, 'pool']} names={pools} required />
          {ROUTE_FIELDS.map(([path, inherits]) => (
            <Setting
              key={path.join('.')}
              path={['routes', route, ...path]}
              label={path.join(' · ').replaceAll('_', ' ')}
              {...(inherits ? { inherits } : {})}
            />
          ))}
        </div>
      )}
    </List>
  );
}

function NewRoute({ pools }: { pools: readonly string[] }) {
  const [name, setName] = useState('');
  const add = (): void => {
    const count = items(parsed.peek().values ?? undefined, ['routes']).length;
    const made = insertAt(text.peek(), ['routes'], count, { name, pool: pools[0] ?? '' });
    if (made === null) return toast('this change cannot be made by the form; make it in YAML', 'error');
    change(made);
    setName('');
  };
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        if (name !== '') add();
      }}
    >
      <Field id="new-route" label="New route">
        <input
          id="new-route"
          value={name}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => setName(event.currentTarget.value.trim())}
        />
      </Field>
      <Button type="submit" disabled={name === ''}>
        Add
      </Button>
    </form>
  );
}

function Deployments() {
  const all = declared(parsed.value.values ?? undefined);
  return (
    <Part title="Deployments" text="What each may take, its share, and what it costs. Making and deleting them at Azure is the fleet’s.">
      <Paged of={all} nameOf={({ name }) => name}>
        {({ path }) => (
          <div class="settings">
            {[
              ['sku'],
              ['capacity'],
              ['weight'],
              ['inactivity', 'policy'],
              ['price', 'input'],
              ['price', 'cached_input'],
              ['price', 'output'],
              ['price', 'hour'],
            ].map((field) => (
              <Setting
                key={field.join('.')}
                path={[...path, ...field]}
                label={field.join(' · ').replaceAll('_', ' ')}
                required={field[0] === 'sku'}
              />
            ))}
          </div>
        )}
      </Paged>
    </Part>
  );
}

const DEFAULTS: readonly (readonly [string, readonly Path[]])[] = [
  ['Placement', [['defaults', 'policy'], ['replicas']]],
  [
    'Failover',
    [
      ['defaults', 'failover', 'max_attempts'],
      ['defaults', 'failover', 'deadline'],
      ['defaults', 'failover', 'retry_budget', 'ratio'],
      ['defaults', 'failover', 'first_token', 'base'],
      ['defaults', 'failover', 'first_token', 'least'],
      ['defaults', 'failover', 'hedging', 'max_share'],
      ['defaults', 'timeouts', 'first_byte'],
      ['defaults', 'timeouts', 'idle'],
      ['defaults', 'waiting', 'max_wait'],
    ],
  ],
  [
    'Health',
    [
      ['health', 'consecutive_failures'],
      ['health', 'failure_ratio'],
      ['health', 'open_for'],
      ['health', 'slow_start'],
      ['health', 'max_ejected'],
      ['health', 'throttle_default'],
      ['health', 'throttle_max'],
    ],
  ],
];

function Defaults() {
  return (
    <>
      {DEFAULTS.map(([title, paths]) => (
        <Part key={title} title={title} text="">
          <div class="settings">
            {paths.map((path) => (
              <Setting
                key={path.join('.')}
                path={path}
                label={path
                  .slice(path[0] === 'defaults' ? -2 : -1)
                  .filter((step) => step !== 'defaults' && step !== 'failover')
                  .join(' · ')
                  .replaceAll('_', ' ')}
              />
            ))}
          </div>
        </Part>
      ))}
    </>
  );
}

function Clients() {
  return (
    <List of="clients" text="What each caller may use, on all routes together. Keys are references and stay as they are.">
      {(client) => (
        <div class="settings">
          {[
            ['limits', 'requests_per_minute'],
            ['limits', 'tokens_per_minute'],
            ['limits', 'concurrency'],
            ['priority'],
            ['routes'],
            ['debug_headers'],
          ].map((field) => (
            <Setting key={field.join('.')} path={['clients', client, ...field]} label={field.join(' · ').replaceAll('_', ' ')} />
          ))}
        </div>
      )}
    </List>
  );
}
