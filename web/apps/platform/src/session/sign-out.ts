import { type ApiClient, isApiError } from '@unstale/client';

/**
 * A sign-out that the server may not have heard of. The session's cookie is one that scripts cannot take away, so until
 * the server ends it, it is this mark that keeps whoever opens the pages next from being taken for who has left.
 */
const OWED = 'unstale-migrate:sign-out-owed';
/** Without storage it is owed as long as the page lives. */
let isOwed = false;

export function isSignOutOwed(): boolean {
  try {
    return isOwed || localStorage.getItem(OWED) !== null;
  } catch {
    return isOwed;
  }
}

export function oweSignOut(): void {
  isOwed = true;
  attempt(() => localStorage.setItem(OWED, '1'));
}

/** The server was told, or somebody has signed in since. */
export function forgetSignOut(): void {
  isOwed = false;
  attempt(() => localStorage.removeItem(OWED));
}

function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // Storage is switched off or full.
  }
}

let telling: Promise<void> | undefined;

/** Tells the server, if it is still to be told; rejects if it could not be. Before anybody signs in, whom it would sign out. */
export function tellSignOut(api: ApiClient): Promise<void> {
  if (!isSignOutOwed()) return Promise.resolve();
  telling ??= tell(api).finally(() => {
    telling = undefined;
  });
  return telling;
}

async function tell(api: ApiClient): Promise<void> {
  try {
    await api.write('POST', '/auth/logout', undefined, { anonymous: true });
  } catch (error) {
    // There is nothing to end any more.
    if (!isApiError(error, 401)) throw error;
  }
  forgetSignOut();
}
