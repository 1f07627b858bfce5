/** The pools as they are tried: tier under tier, each with the share of every member, and the routes that lead there. */
import { percent } from '../format';
import { linkTo } from '../state/url';
import type { PoolInfo, RouteInfo } from '../types/state';
import { Pill } from '../ui/basics';
import { shares } from '../configure/weights';
import { policyWords } from './words';

/** Colours for regions, by their order, none of which means a state; beyond these they repeat, and the name beside says which it is. */
const COLOURS = ['s1', 's4', 's7', 's2', 's6', 's8'] as const;

export function regionColour(regions: readonly string[], region: string): string {
  return COLOURS[Math.max(regions.indexOf(region), 0) % COLOURS.length] ?? 's1';
}

interface PoolsProps {
  pools: readonly PoolInfo[];
  routes: readonly RouteInfo[];
  regionOf: (deployment: string) => string;
  regions: readonly string[];
}

export function Pools({ pools, routes, regionOf, regions }: PoolsProps) {
  return (
    <div class="pools">
      {pools.map((pool) => (
        <section key={pool.name} class="pool" aria-label={`Pool ${pool.name}`}>
          <header>
            <h3>{pool.name}</h3>
            <PoolState pool={pool} />
          </header>
          <ul class="pool-routes">
            {routes
              .filter((route) => route.pool === pool.name)
              .map((route) => (
                <RouteLine key={route.name} route={route} />
              ))}
          </ul>
          <ol class="tiers">
            {pool.tiers.map((tier, n) => (
              <li key={n}>
                <p class="tier-name">
                  <b>Tier {n + 1}</b>{' '}
                  <span class="muted">{n === 0 ? 'first, while it has room' : 'only where nothing above can be used or has room'}</span>
                </p>
                <Tier tier={tier} regionOf={regionOf} regions={regions} />
              </li>
            ))}
          </ol>
          <p class="muted small">Shares are of prompts that are new: one that is cached somewhere goes there, so traffic can differ.</p>
        </section>
      ))}
    </div>
  );
}

function PoolState({ pool }: { pool: PoolInfo }) {
  const all = pool.tiers.reduce((sum, tier) => sum + tier.length, 0);
  return (
    <Pill tone={pool.usable === all ? 'ok' : pool.usable === 0 ? 'error' : 'warn'}>
      {pool.usable} of {all} usable
    </Pill>
  );
}

function RouteLine({ route }: { route: RouteInfo }) {
  return (
    <li>
      <span aria-hidden="true" class="muted">
        →{' '}
      </span>
      <a href={linkTo('routing', { route: route.name })}>{route.name}</a>
      {route.aliases.length > 0 && <span class="muted"> also {route.aliases.join(', ')}</span>}
      <span class="muted small route-policy">
        {route.policy}: {route.policy_text ?? policyWords(route.policy)}
      </span>
      {(route.settings?.length ?? 0) > 0 && (
        <details class="route-settings small">
          <summary>Its rules</summary>
          <dl class="facts">
            {route.settings?.map(({ name, text }) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </li>
  );
}

interface TierProps {
  tier: PoolInfo['tiers'][number];
  regionOf: (deployment: string) => string;
  regions: readonly string[];
}

function Tier({ tier, regionOf, regions }: TierProps) {
  const parts = shares(tier.map(({ weight }) => weight));
  return (
    <>
      <div class="tier-bar" aria-hidden="true">
        {tier.map((member, n) => (
          <span
            key={member.deployment}
            class={member.usable ? undefined : 'unusable'}
            style={{ '--part': parts[n], '--swatch': `var(--${regionColour(regions, regionOf(member.deployment))})` }}
          />
        ))}
      </div>
      <ul class="tier-members">
        {tier.map((member, n) => (
          <li key={member.deployment}>
            <span
              class="swatch"
              aria-hidden="true"
              style={{ '--swatch': `var(--${regionColour(regions, regionOf(member.deployment))})` }}
            />
            <a class="tier-deployment" href={linkTo('fleet', { deployment: member.deployment })}>
              {member.deployment}
            </a>
            <span class="muted">{regionOf(member.deployment)}</span>
            {!member.usable && <Pill tone="error">{member.why?.replaceAll('_', ' ') ?? 'not usable'}</Pill>}
            <span class="tier-share">{percent(parts[n])}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
