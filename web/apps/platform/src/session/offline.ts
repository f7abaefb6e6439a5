/**
 * Reading without a server: off until somebody asks for it, for them and for this tab's session only. The pages
 * themselves are kept by a service worker; what was read is sealed by `@unstale/client/offline`.
 */
const WANTED = 'unstale-migrate:offline';
const WORKER = '/sw.js';

export function isOfflineSupported(): boolean {
  return typeof caches !== 'undefined' && 'serviceWorker' in navigator;
}

/** Who asked for it in this tab. */
export function offlineUser(): string | null {
  try {
    return sessionStorage.getItem(WANTED);
  } catch {
    return null;
  }
}

export const isOfflineWanted = (): boolean => offlineUser() !== null;

export function wantOffline(userId: string | null): void {
  try {
    if (userId !== null) sessionStorage.setItem(WANTED, userId);
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
