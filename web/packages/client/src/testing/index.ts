import { SEALED_PREFIX } from '@unstale/client/offline';
import type { CoherentSession } from '@unstale/client/react';

/** Proofs for an application's own tests. Nothing here belongs into a release. */
export interface SurvivalOptions {
  /** Texts that only the ended session's data contains: names, e-mail addresses, ids. */
  secrets: readonly string[];
  /** The sessions that ended. */
  sessions?: readonly CoherentSession[];
  document?: Document;
}

type Found = (what: string) => void;

/** Brings back what it can, as a write that comes late would, and looks whether it stays. */
async function lookInSession(session: CoherentSession, place: number, found: Found): Promise<void> {
  const { queryClient, scope, api } = session;
  queryClient.setQueryData([...scope, 'a write that came late'], 'secret');
  await api.get('/a-read-that-came-late').then(
    () => found(`session ${place} still reads`),
    (error: unknown) => {
      const refused = error instanceof DOMException && error.name === 'AbortError';
      if (!refused) found(`session ${place} still asks the server`);
    },
  );
  for (const { queryHash } of queryClient.getQueryCache().getAll()) {
    found(`session ${place} keeps the query ${queryHash}`);
  }
  const mutations = queryClient.getMutationCache().getAll().length;
  if (mutations > 0) found(`session ${place} keeps ${mutations} mutations`);
}

function lookInStorage(
  name: string,
  storage: Storage,
  look: (where: string, text: string) => void,
  found: Found,
) {
  for (const key of Object.keys(storage)) {
    look(`${name}[${key}]`, `${key} ${storage.getItem(key)}`);
    // A key would open what was sealed, and sealed data shows no secret.
    if (key.startsWith(SEALED_PREFIX)) found(`${name} has a sealing key`);
  }
}

async function lookInCaches(look: (where: string, text: string) => void, found: Found): Promise<void> {
  if (typeof caches === 'undefined') return;
  for (const name of await caches.keys()) {
    if (name.startsWith(SEALED_PREFIX)) found(`Cache Storage has ${name}`);
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const answer = await cache.match(request);
      look(`Cache Storage ${name}`, `${request.url} ${await answer?.text()}`);
    }
  }
}

/**
 * Throws, with every place, if anything of an ended session is left: on screen, in storage, in Cache Storage, in a query
 * client; or if a write that comes late could bring it back.
 */
export async function expectNothingSurvives({
  secrets,
  sessions = [],
  document = globalThis.document,
}: SurvivalOptions): Promise<void> {
  const places: string[] = [];
  const found: Found = (what) => void places.push(what);
  const look = (where: string, text: string) => {
    for (const secret of secrets) if (text.includes(secret)) found(`${where} has “${secret}”`);
  };

  for (const [place, session] of sessions.entries()) await lookInSession(session, place, found);
  look('the page', document.body?.textContent ?? '');
  for (const field of document.querySelectorAll<HTMLInputElement>('input, textarea, select')) {
    look('a field', field.value);
  }
  lookInStorage('sessionStorage', globalThis.sessionStorage, look, found);
  lookInStorage('localStorage', globalThis.localStorage, look, found);
  await lookInCaches(look, found);
  if (places.length > 0) throw new Error(`An ended session is not gone:\n- ${places.join('\n- ')}`);
}
