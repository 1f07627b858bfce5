/** The navigation: a rail at the side from 900 px on, a bar at the bottom below. Links, so that they open in new tabs too. */
import { useEffect, useRef } from 'preact/hooks';
import { SECTIONS } from '../pages';
import { session } from '../state/session';
import { linkTo, place } from '../state/url';
import { Icon } from '../ui/icon';
import { Person } from './person';

export function Rail({ current }: { current: string }) {
  void place.value; // The links carry the range and filters along, so they follow the address.
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a narrow screen the bar is wider than the window.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [current]);
  return (
    <header class="rail">
      <a class="brand" href={linkTo('overview')}>
        <img src="./ember.svg" alt="" width="24" height="24" />
        <span>Emberway</span>
      </a>
      <nav ref={nav} class="rail-nav" aria-label="Sections">
        {SECTIONS.map(({ id, title, icon }) => (
          <a key={id} href={linkTo(id)} aria-current={id === current ? 'page' : undefined}>
            <Icon name={icon} />
            <span>{title}</span>
          </a>
        ))}
      </nav>
      <div class="rail-foot">
        <Person />
        <p class="rail-version">
          {session.value?.version}
          {session.value?.demo === true && ' · demo'}
        </p>
      </div>
    </header>
  );
}
