/** Who is signed in, and what they may do. */
import { computed, signal } from '@preact/signals';
import * as api from '../api';
import type { Role, Session } from '../types/state';

/** `null` until the gateway has answered. */
export const session = signal<Session | null>(null);
/** Why the gateway could not be asked, in words. */
export const sessionError = signal<string | null>(null);

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Whether the signed-in role may do what `role` may. */
export function may(role: Role): boolean {
  const mine = session.value?.role;
  return mine !== undefined && RANK[mine] >= RANK[role];
}

export const signedIn = computed(() => session.value?.signed_in === true);

/** Asks the gateway who is signed in. */
export async function readSession(): Promise<void> {
  try {
    session.value = await api.session();
    sessionError.value = null;
  } catch (error) {
    sessionError.value = error instanceof Error ? error.message : String(error);
  }
}

/** Forgets the session here, so that the sign-in form shows; asks again what is offered. */
export async function loseSession(): Promise<void> {
  if (session.peek()?.signed_in === true) await readSession();
}
