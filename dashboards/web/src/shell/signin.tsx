/** The sign-in form: a token, or the organisation's sign-in where the gateway offers it. */
import { useState } from 'preact/hooks';
import * as api from '../api';
import { readSession, session } from '../state/session';
import { Button, Field } from '../ui/basics';

export function SignIn() {
  const [token, setToken] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const offers = session.value?.offers ?? [];

  const enter = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await api.signIn(token);
      await readSession();
      if (session.peek()?.signed_in !== true) setError('the gateway took the token, but the browser did not keep the cookie');
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause));
    }
    setBusy(false);
  };
  const organisation = `auth/login?return=${encodeURIComponent(`${location.pathname}${location.hash}`)}`;

  return (
    <main class="lonely">
      <div class="signin">
        <h1 class="brand">
          <img src="./ember.svg" alt="" width="32" height="32" />
          <span>Emberway</span>
        </h1>
        {offers.includes('oidc') && (
          <a class="button button-primary" href={organisation}>
            Sign in with your organisation
          </a>
        )}
        {offers.includes('oidc') && offers.includes('token') && <p class="or">or</p>}
        {offers.includes('token') && (
          <form onSubmit={(event) => void enter(event)}>
            <Field id="token" label="Token" help="One of the tokens in the configuration’s admin section." error={error}>
              <input
                id="token"
                type="password"
                autocomplete="current-password"
                spellcheck={false}
                aria-describedby="token-help"
                value={token}
                onInput={(event) => setToken(event.currentTarget.value)}
              />
            </Field>
            <Button type="submit" kind={offers.includes('oidc') ? 'plain' : 'primary'} busy={busy} disabled={token === ''}>
              Sign in
            </Button>
          </form>
        )}
        {offers.length === 0 && <p>The gateway offers no way to sign in: its configuration names no admin token.</p>}
      </div>
    </main>
  );
}
