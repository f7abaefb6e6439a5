import type { LastKnown, LastKnownStore } from '@unstale/client/react';

/**
 * Last known answers, for reading while the server cannot be reached.
 *
 * Invariants:
 * - what is stored is sealed (AES-GCM) by a key of this tab's session, bound to its place: an entry that was moved does
 *   not open, and without the key nothing does;
 * - the key is in session storage, so that it outlives a reload and nothing else; `destroy` takes it, and what it sealed,
 *   or what any tab's key did;
 * - whatever is still to be sealed when the session ends is not stored;
 * - without Cache Storage, WebCrypto or session storage nothing is kept.
 */
export interface SealedStoreOptions {
  /** Names the cache and the key: one per application and origin. */
  name: string;
  entriesMax?: number;
  entryBytesMax?: number;
}

export const SEALED_PREFIX = 'unstale-last-known:';

export interface SealedStore extends LastKnownStore {
  open(scope: readonly string[]): LastKnown;
}

const IV_BYTES = 12;
const KEPT_AT = 'X-Kept-At';

interface Keys {
  seal: CryptoKey;
  raw: Uint8Array<ArrayBuffer>;
  /** Where everything that they seal is. */
  root: string;
}

async function digest(...parts: BufferSource[]): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function createSealedStore({
  name,
  entriesMax = 200,
  entryBytesMax = 512 * 1024,
}: SealedStoreOptions): SealedStore {
  const cacheName = SEALED_PREFIX + name;
  const keyName = `${cacheName}:key`;
  let life = 0;
  let keys: Promise<Keys> | undefined;
  /** One after the other, so that what is destroyed stays destroyed. */
  let work: Promise<unknown> = Promise.resolve();

  function supported(): boolean {
    return typeof caches !== 'undefined' && globalThis.crypto?.subtle !== undefined;
  }

  function openKeys(): Promise<Keys> {
    keys ??= (async () => {
      const stored = sessionStorage.getItem(keyName);
      const raw = stored
        ? Uint8Array.from(atob(stored), (character) => character.charCodeAt(0))
        : crypto.getRandomValues(new Uint8Array(32));
      if (!stored) sessionStorage.setItem(keyName, btoa(String.fromCharCode(...raw)));
      const seal = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']);
      return { seal, raw, root: `/${encodeURIComponent(cacheName)}/${await digest(raw)}/` };
    })();
    return keys;
  }

  /** Says nothing of what it is the place of, and is another for every key. */
  async function placeOf({ raw, root }: Keys, what: string): Promise<string> {
    return root + (await digest(raw, new TextEncoder().encode(what)));
  }

  /** What was sealed with `own`. */
  async function removeOwn(own: Keys | undefined): Promise<void> {
    if (!own) return;
    const cache = await caches.open(cacheName);
    const places = await cache.keys();
    const isOwn = ({ url }: Request) => new URL(url, location.origin).pathname.startsWith(own.root);
    for (const place of places.filter(isOwn)) await cache.delete(place);
    if (places.every(isOwn)) await caches.delete(cacheName);
  }

  async function put(what: string, data: unknown, born: number): Promise<void> {
    const text = new TextEncoder().encode(JSON.stringify(data));
    if (text.length > entryBytesMax || born !== life) return;
    const opened = await openKeys();
    const place = await placeOf(opened, what);
    const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
    const additionalData = new TextEncoder().encode(place);
    const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, opened.seal, text);
    const cache = await caches.open(cacheName);
    if (born !== life) return;
    const headers = { [KEPT_AT]: String(Date.now()) };
    await cache.put(place, new Response(new Blob([iv, sealed]), { headers }));
    const places = await cache.keys();
    for (const old of places.slice(0, Math.max(0, places.length - entriesMax))) await cache.delete(old);
  }

  async function get(what: string): Promise<{ data: unknown; at: number } | undefined> {
    if (!sessionStorage.getItem(keyName)) return undefined;
    const opened = await openKeys();
    const place = await placeOf(opened, what);
    const found = await caches.match(place, { cacheName });
    if (!found) return undefined;
    const bytes = new Uint8Array(await found.arrayBuffer());
    const iv = bytes.slice(0, IV_BYTES);
    const additionalData = new TextEncoder().encode(place);
    const algorithm = { name: 'AES-GCM', iv, additionalData };
    const text = await crypto.subtle.decrypt(algorithm, opened.seal, bytes.slice(IV_BYTES));
    return { data: JSON.parse(new TextDecoder().decode(text)), at: Number(found.headers.get(KEPT_AT)) };
  }

  return {
    open: (scope) => {
      const born = life;
      const whatOf = (query: string) => JSON.stringify([scope, query]);
      return {
        keep: (query, data) => {
          if (!supported()) return;
          work = work.then(() => put(whatOf(query), data, born)).catch(() => {});
        },
        recall: async (query) => {
          if (!supported() || born !== life) return undefined;
          return get(whatOf(query)).catch(() => undefined);
        },
      };
    },
    destroy: async (of) => {
      life += 1;
      let own: Promise<Keys | undefined> | undefined;
      try {
        if (supported() && sessionStorage.getItem(keyName)) own = openKeys().catch(() => undefined);
        sessionStorage.removeItem(keyName);
      } catch {
        // Nothing was kept without it either.
      }
      keys = undefined;
      if (!supported()) return;
      await work;
      await (of === 'all' ? caches.delete(cacheName) : own?.then(removeOwn))?.catch(() => {});
    },
  };
}
