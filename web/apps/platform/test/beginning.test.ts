import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket } from '../../../packages/client/test/support';

/** The server as far as a session's beginning goes, and a socket that a test speaks for. */
const CLIENT = 'c1';
const START = '/api/v1/context/start';
const DEFAULTS = '/api/v1/users/u1/defaults';
let calls: string[];
let started: string | null;

const answers = (path: string): unknown => {
  if (path === '/api/v1/context/standing') {
    return { user: { id: 'u1' }, client: { id: CLIENT }, role: 'analyst', permissions: [] };
  }
  return path === START ? { engagement_id: started } : {};
};

const json = (body: unknown, groups: string[] = []) =>
  new Response(JSON.stringify(body), {
    headers: {
      'Content-Type': 'application/json',
      'Cache-Groups': groups.map((one) => `"${one}"`).join(', '),
    },
  });

function serve(url: string, init: RequestInit = {}): Response {
  const path = new URL(url, 'http://here').pathname;
  calls.push(`${init.method ?? 'GET'} ${path}`);
  const body = init.body ? JSON.parse(String(init.body)) : undefined;
  if (path === DEFAULTS) started = body.engagement_id;
  if (path !== '/api/v1/batch') return json(answers(path), [path]);
  const responses = body.requests.map(({ id, path: read }: { id: string; path: string }) => ({
    id,
    status: 200,
    headers: { 'cache-groups': `"${read}"` },
    body: answers(read),
  }));
  return json({ responses });
}

const writes = () => calls.filter((call) => call === `PUT ${DEFAULTS}`).length;

async function begin() {
  vi.resetModules();
  const { chooseEngagement, unstale } = await import('../src/session/session');
  const { coherentQueryOptions } = await import('@unstale/client/react');
  const { getStart } = await import('../src/api/reads');
  unstale.start();
  const session = await vi.waitFor(() => {
    const { auth } = unstale.store.get();
    if (auth.status !== 'signed-in') throw new Error('not yet');
    return auth.session;
  });
  await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
  const readStart = () => session.queryClient.prefetchQuery(coherentQueryOptions(session, getStart()));
  const end = () => {
    session.dispose();
    unstale.close();
  };
  return { chooseEngagement, unstale, session, readStart, end };
}

let app: Awaited<ReturnType<typeof begin>>;

beforeEach(async () => {
  calls = [];
  FakeSocket.opened = [];
  started = 'e1';
  vi.stubGlobal('fetch', async (url: string, init?: RequestInit) => serve(url, init));
  vi.stubGlobal('WebSocket', FakeSocket);
  // biome-ignore lint/suspicious/noDocumentCookie: what the server sets
  document.cookie = 'platform_signed_in=9999999999';
  app = await begin();
});

afterEach(() => {
  app.end();
  sessionStorage.clear();
  vi.unstubAllGlobals();
});

describe('a session', () => {
  it('leaves nothing of what somebody else kept in its tab for reading offline', async () => {
    app.end();
    FakeSocket.opened = [];
    sessionStorage.clear();
    sessionStorage.setItem('unstale-migrate:offline', 'u0');
    sessionStorage.setItem('unstale-last-known:unstale-migrate:key', 'a key');
    app = await begin();
    expect(Object.keys(sessionStorage)).toEqual(['unstale-migrate:context:v2']);
  });

  it('begins with one request, for who is asking and where they start', () => {
    expect(calls).toEqual(['POST /api/v1/batch']);
    expect(app.unstale.store.get().context).toEqual({
      tenantId: CLIENT,
      selection: { engagementId: 'e1' },
    });
  });

  it('does not write a choice that the server is known to remember', async () => {
    FakeSocket.opened[0]?.greet('p0');
    await app.readStart();
    await app.chooseEngagement('e1');
    expect(writes()).toBe(0);
    await app.chooseEngagement('e2');
    expect(writes()).toBe(1);
  });

  it('writes it where that was changed meanwhile', async () => {
    FakeSocket.opened[0]?.greet('p0');
    await app.readStart();
    FakeSocket.opened[0]?.push({ type: 'cache_invalidation', position: 'p1', groups: [START], data: {} });
    await app.chooseEngagement('e1');
    expect(writes()).toBe(1);
  });

  it('writes it where nothing is known of changes, or of what is remembered', async () => {
    await app.chooseEngagement('e1');
    expect(writes()).toBe(1);
    await app.readStart();
    await app.chooseEngagement('e1');
    expect(writes()).toBe(2);
  });
});
