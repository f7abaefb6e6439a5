import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

/** The app's session before a server that the test plays: tokens of fifteen minutes, to be refreshed after ten. */
const MINUTE_MS = 60_000;
let issuedAt: number;
let refreshed: number;
let isRevoked: boolean;

function setCookie(): void {
  // biome-ignore lint/suspicious/noDocumentCookie: what the server sets
  document.cookie = `platform_signed_in=${Math.floor((issuedAt + 10 * MINUTE_MS) / 1000)}`;
}

const json = (body: unknown, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });

function serve(request: Request, body: string): Response {
  const { pathname } = new URL(request.url);
  if (isRevoked) return json({}, 401);
  if (pathname.endsWith('/auth/refresh')) {
    issuedAt = Date.now();
    refreshed += 1;
    setCookie();
    return json({ user: { id: 'u1' } });
  }
  if (Date.now() - issuedAt >= 15 * MINUTE_MS) return json({}, 401);
  if (pathname.startsWith('/ofrep')) return json({ flags: [] });
  const one = (path: string): unknown =>
    path.endsWith('/start') ? { engagement_id: 'e1' } : { user: { id: 'u1' }, client: { id: 'c1' } };
  if (!pathname.endsWith('/batch')) return json(one(pathname));
  const { requests } = JSON.parse(body) as { requests: { id: string; path: string }[] };
  return json({
    responses: requests.map(({ id, path }) => ({ id, status: 200, headers: {}, body: one(path) })),
  });
}

async function begin() {
  vi.resetModules();
  const { unstale, watchSession } = await import('../src/session/session');
  watchSession();
  unstale.start();
  const session = await vi.waitFor(() => {
    const { auth } = unstale.store.get();
    if (auth.status !== 'signed-in') throw new Error('not yet');
    return auth.session;
  });
  return { unstale, session };
}

let app: Awaited<ReturnType<typeof begin>>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  vi.stubGlobal('fetch', async (input: string | Request, init: RequestInit = {}) => {
    const request = new Request(typeof input === 'string' ? new URL(input, location.href) : input, init);
    return serve(request, String(init.body));
  });
  vi.stubGlobal('WebSocket', undefined);
  vi.stubGlobal('EventSource', undefined);
  refreshed = 0;
  isRevoked = false;
});

afterEach(() => {
  app.session.dispose();
  app.unstale.close();
  sessionStorage.clear();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('a token', () => {
  it('that is nine minutes old when a page is loaded is refreshed in time', async () => {
    issuedAt = Date.now() - 9 * MINUTE_MS;
    setCookie();
    app = await begin();
    await vi.advanceTimersByTimeAsync(2 * MINUTE_MS);
    expect(refreshed).toBe(1);
    await vi.advanceTimersByTimeAsync(5 * MINUTE_MS);
    await expect(app.session.api.get('/flows', { batch: false })).resolves.toMatchObject({ status: 200 });
    expect(refreshed).toBe(1);
  });

  it('that expired while nobody was there is exchanged, as long as its session stands', async () => {
    issuedAt = Date.now() - 60 * MINUTE_MS;
    setCookie();
    app = await begin();
    expect(refreshed).toBe(1);
    // Asleep: no timer ran meanwhile.
    vi.setSystemTime(Date.now() + 60 * MINUTE_MS);
    await expect(app.session.api.get('/flows', { batch: false })).resolves.toMatchObject({ status: 200 });
    expect(refreshed).toBe(2);
    isRevoked = true;
    await app.session.api.get('/flows', { batch: false }).catch(() => {});
    expect(app.unstale.store.get().auth).toMatchObject({ status: 'signed-out', reason: 'expired' });
  });
});
