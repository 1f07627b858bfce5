/** Who is signed in, as what, and the way out. Without sign-in (a loopback listener) there is nothing to leave. */
import * as api from '../api';
import { readSession, session } from '../state/session';
import { Button } from '../ui/basics';
import { toast } from '../ui/toast';

async function leave(): Promise<void> {
  try {
    await api.signOut();
    await readSession();
  } catch (error) {
    toast(`Not signed out: ${error instanceof Error ? error.message : String(error)}`, 'error');
  }
}

export function Person() {
  const me = session.value;
  if (me === null || !me.signed_in) return null;
  return (
    <div class="person">
      <div class="person-who">
        <span class="person-name" title={me.name}>
          {me.name}
        </span>
        <span class="person-role">{me.role}</span>
      </div>
      {me.auth !== 'none' && (
        <Button small kind="ghost" onClick={() => void leave()}>
          Sign out
        </Button>
      )}
    </div>
  );
}
