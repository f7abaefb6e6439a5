/**
 * Keeps the pages' own files, so that they open without a server. It never touches what the API answers: what was read
 * is sealed and kept by the page, whose key this worker does not have.
 */
const SHELL = 'unstale-migrate:shell';
const FILES_MAX = 200;

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('message', (event) => {
  const files = Array.isArray(event.data?.keep) ? event.data.keep.slice(0, FILES_MAX) : [];
  event.waitUntil(keepAll(files));
});

async function keepAll(files) {
  const cache = await caches.open(SHELL);
  await Promise.allSettled(files.map(async (file) => (await cache.match(file)) ?? cache.add(file)));
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== self.location.origin || pathname.startsWith('/api/')) return;
  if (request.mode === 'navigate') event.respondWith(page(request));
  else if (pathname.startsWith('/assets/') || pathname === '/favicon.svg') event.respondWith(file(request));
});

/** The page is the same at every address; the newest is shown while there is a server. */
async function page(request) {
  try {
    const answer = await fetch(request);
    if (answer.ok) await put('/', answer.clone());
    return answer;
  } catch (error) {
    const kept = await caches.match('/', { cacheName: SHELL });
    if (kept) return kept;
    throw error;
  }
}

/** Files below /assets/ have their hash in their name: one that was kept is right. (So is the sign of the house.) */
async function file(request) {
  const kept = await caches.match(request, { cacheName: SHELL });
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await put(request, answer.clone());
  return answer;
}

/** Not after the page has taken the cache away, at the end of a session. */
async function put(request, answer) {
  if (!(await caches.has(SHELL)) && request !== '/') return;
  const cache = await caches.open(SHELL);
  if ((await cache.keys()).length < FILES_MAX) await cache.put(request, answer);
}
