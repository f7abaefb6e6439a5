/**
 * Reading without a server: off until somebody asks for it, and for this tab's session only. The pages themselves are
 * kept by a service worker; what was read is sealed by `@unstale/client/offline`.
 */
const WANTED = 'unstale-migrate:offline';
const WORKER = '/sw.js';

export function isOfflineSupported(): boolean {
  return typeof caches !== 'undefined' && 'serviceWorker' in navigator;
}

export function isOfflineWanted(): boolean {
  try {
    return sessionStorage.getItem(WANTED) === 'yes';
  } catch {
    return false;
  }
}

export function wantOffline(wanted: boolean): void {
  try {
    if (wanted) sessionStorage.setItem(WANTED, 'yes');
    else sessionStorage.removeItem(WANTED);
  } catch {
    // Without session storage there is no key to seal with, so nothing is kept anyway.
  }
}

/** Keeps the pages' own files. They are the same for everybody, and hold nothing of anybody. */
export async function keepShell(): Promise<void> {
  if (!isOfflineSupported()) return;
  await navigator.serviceWorker.register(WORKER);
  const { active } = await navigator.serviceWorker.ready;
  const files = performance
    .getEntriesByType('resource')
    .map(({ name }) => new URL(name))
    .filter(({ origin, pathname }) => origin === location.origin && pathname.startsWith('/assets/'))
    .map(({ pathname }) => pathname);
  active?.postMessage({ keep: ['/', '/favicon.svg', ...new Set(files)] });
}

export function forgetShell(): void {
  if (!isOfflineSupported()) return;
  const remove = () => caches.delete('unstale-migrate:shell');
  void remove()
    .then(() => navigator.serviceWorker.getRegistration(WORKER))
    .then((registration) => registration?.unregister())
    // Once more: until then the worker may have kept what it was just asked for.
    .then(remove)
    .catch(() => {});
}
