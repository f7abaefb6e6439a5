import { OpenFeature } from '@openfeature/web-sdk';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket } from '../../../packages/client/test/support';

/** The app's session before a server that the test plays: what it asks of flags, for which client, and when. */
let asked: string[];
let client: string;
let flagsStatus: number;
let switchedOff: string[];

const json = (body: unknown, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });

function serve(request: Request, body: string): Response {
  const { pathname } = new URL(request.url);
  if (pathname.startsWith('/ofrep')) {
    asked.push(request.headers.get('X-Client-Account-Id') ?? 'none');
    return json({ flags: switchedOff.map((key) => ({ key, value: false, reason: 'STATIC' })) }, flagsStatus);
  }
  const one = (path: string): unknown => {
    if (path.endsWith('/start')) return { engagement_id: 'e1' };
    return { user: { id: 'u1' }, client: { id: client }, role: 'analyst', permissions: [] };
  };
  if (!pathname.endsWith('/batch')) return json(one(pathname));
  const { requests } = JSON.parse(body) as { requests: { id: string; path: string }[] };
  return json({
    responses: requests.map(({ id, path }) => ({ id, status: 200, headers: {}, body: one(path) })),
  });
}

async function begin() {
  const { switchClient, unstale, watchSession } = await import('../src/session/session');
  watchSession();
  unstale.start();
  await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
  FakeSocket.last.greet('p0');
  await vi.waitFor(() => expect(asked).toEqual(['c1']));
  const end = () => {
    const { auth } = unstale.store.get();
    if (auth.status === 'signed-in') auth.session.dispose();
    unstale.close();
  };
  return { switchClient, unstale, end };
}

let app: Awaited<ReturnType<typeof begin>>;

beforeEach(async () => {
  asked = [];
  FakeSocket.opened = [];
  client = 'c1';
  flagsStatus = 200;
  switchedOff = [];
  vi.resetModules();
  vi.stubGlobal('fetch', async (input: string | Request, init: RequestInit = {}) => {
    const request = new Request(typeof input === 'string' ? new URL(input, location.href) : input, init);
    return serve(request, String(init.body));
  });
  vi.stubGlobal('WebSocket', FakeSocket);
  // biome-ignore lint/suspicious/noDocumentCookie: what the server sets
  document.cookie = 'platform_signed_in=9999999999';
  app = await begin();
});

afterEach(async () => {
  app.end();
  await OpenFeature.clearProviders();
  sessionStorage.clear();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a session asks for its flags', () => {
  it('again when it cannot be known what was missed, such as after a restart of the server', async () => {
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: 'p9' });
    await vi.waitFor(() => expect(asked).toEqual(['c1', 'c1']));
  });

  it('again when its socket was closed for cause and opened again, whatever was missed', async () => {
    FakeSocket.last.drop(4401);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    FakeSocket.last.readyState = 1;
    FakeSocket.last.push({ type: 'hello', position: 'p9', missed: 'unknown' });
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: 'p9' });
    await vi.waitFor(() => expect(asked).toEqual(['c1', 'c1']));
  });

  it('for the client that it now listens for', async () => {
    client = 'c2';
    await app.switchClient('c2');
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    expect(FakeSocket.last.url).toContain('client_account_id=c2');
    FakeSocket.last.greet('p0');
    await vi.waitFor(() => expect(asked).toEqual(['c1', 'c2']));
  });

  it('once more if the server did not answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    flagsStatus = 503;
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: 'p9' });
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    flagsStatus = 200;
    await vi.advanceTimersByTimeAsync(1_000);
    await vi.waitFor(() => expect(asked).toHaveLength(3));
  });

  it('and forgets what is kept for reading offline when that is switched off', async () => {
    const offline = () => sessionStorage.getItem('unstale-migrate:offline');
    sessionStorage.setItem('unstale-migrate:offline', 'u1');
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: 'p9' });
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    expect(offline()).toBe('u1');
    switchedOff = ['ENABLE_OFFLINE_READING'];
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: 'p10' });
    await vi.waitFor(() => expect(offline()).toBeNull());
  });
});
