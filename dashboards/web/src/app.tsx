/** The shell: signs in first, then navigation, bar and the section that the address names. Listens to the live stream while signed in. */
import { useEffect } from 'preact/hooks';
import { listen } from './live';
import { sectionOf } from './pages';
import { Boundary } from './shell/boundary';
import { Help } from './shell/help';
import { useKeys } from './shell/keys';
import { Person } from './shell/person';
import { Rail } from './shell/rail';
import { SectionView } from './shell/section';
import { SignIn } from './shell/signin';
import { TopBar } from './shell/topbar';
import { readSession, session, sessionError, signedIn } from './state/session';
import { place } from './state/url';
import { Failed, Skeleton } from './ui/async';
import { Confirm } from './ui/dialog';
import { Toasts } from './ui/toast';

export function App() {
  if (session.value === null) {
    return (
      <main class="lonely">
        {sessionError.value === null ? (
          <Skeleton rows={20} />
        ) : (
          <Failed error={new Error(sessionError.value)} retry={() => void readSession()} />
        )}
      </main>
    );
  }
  return signedIn.value ? <Shell /> : <SignIn />;
}

function Shell() {
  const section = sectionOf(place.value.section);
  useEffect(listen, []);
  useKeys();
  useEffect(() => {
    document.title = `${section.title} · Emberway`;
    scrollTo(0, 0);
  }, [section.id]);
  const skip = (event: Event): void => {
    event.preventDefault();
    document.getElementById('content')?.focus();
  };
  return (
    <div class="shell">
      <a class="skip" href="#content" onClick={skip}>
        Skip to content
      </a>
      <Rail current={section.id} />
      <div class="shell-main">
        <TopBar section={section} />
        <main id="content" class="content" tabIndex={-1}>
          <Boundary key={section.id}>
            <SectionView key={section.id} section={section} />
          </Boundary>
        </main>
        <footer class="foot">
          <Person />
        </footer>
      </div>
      <p class="hidden" aria-live="polite">
        {section.title}
      </p>
      <Toasts />
      <Confirm />
      <Help />
    </div>
  );
}
