import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

/** The real OpenFeature and its provider, before a server that the test plays. */
const server = { flags: {} as Record<string, boolean>, status: 200, asked: [] as Request[] };

function answer(request: Request): Response {
  server.asked.push(request);
  if (server.status !== 200) return new Response('{}', { status: server.status });
  const flags = Object.entries(server.flags).map(([key, value]) => ({
    key,
    value,
    reason: 'STATIC',
    variant: String(value),
  }));
  const etag = `"${JSON.stringify(server.flags)}"`;
  if (request.headers.get('If-None-Match') === etag) return new Response(null, { status: 304 });
  return new Response(JSON.stringify({ flags }), {
    headers: { ETag: etag, 'Content-Type': 'application/json' },
  });
}

beforeEach(() => {
  vi.resetModules();
  Object.assign(server, { flags: {}, status: 200, asked: [] });
  vi.stubGlobal('fetch', async (input: RequestInfo, init?: RequestInit) => answer(new Request(input, init)));
});

afterEach(() => vi.unstubAllGlobals());

const load = async () => (await import('../src/session/flags')).flags;

describe('flags', () => {
  it('are as released until they are known, and on a server that has none', async () => {
    const flags = await load();
    expect(flags.get('USE_CUSTOM_API_CACHE')).toBe(true);
    server.status = 404;
    await flags.start('ann', null);
    expect(flags.get('USE_CUSTOM_API_CACHE')).toBe(true);
    expect(server.asked[0]?.url).toMatch(/\/ofrep\/v1\/evaluate\/flags$/);
  });

  it('are the server’s for the user, asked for again conditionally, and stored nowhere', async () => {
    const flags = await load();
    server.flags = { USE_CUSTOM_API_CACHE: false };
    await flags.start('ann', 'acme');
    expect(await server.asked[0]?.json()).toMatchObject({
      context: { targetingKey: 'ann', clientAccountId: 'acme' },
    });
    expect(flags.get('USE_CUSTOM_API_CACHE')).toBe(false);

    server.flags = { USE_CUSTOM_API_CACHE: true };
    await flags.refresh();
    expect(flags.get('USE_CUSTOM_API_CACHE')).toBe(true);
    expect(server.asked.at(-1)?.headers.get('If-None-Match')).toBe('"{"USE_CUSTOM_API_CACHE":false}"');
    expect(localStorage.length).toBe(0);
  });

  it('of a session that is over count for nothing', async () => {
    const flags = await load();
    server.flags = { ENABLE_DEVTOOLS: true };
    await flags.start('ann', null);
    expect(flags.get('ENABLE_DEVTOOLS')).toBe(true);
    const asked = server.asked.length;
    flags.forget();
    expect(flags.get('ENABLE_DEVTOOLS')).toBe(false);
    await flags.refresh();
    expect(flags.get('ENABLE_DEVTOOLS')).toBe(false);
    expect(server.asked).toHaveLength(asked);
  });
});
