import { QueryObserver } from '@tanstack/react-query';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createSealedStore } from '../src/offline/index.ts';
import { type CoherentSession, createCoherentSession } from '../src/react/index.ts';
import { expectNothingSurvives } from '../src/testing/index.ts';
import { liveSession } from './live-session.ts';
import { FakeSocket, fakeNetwork, settle } from './support.ts';

/** Cache Storage, in memory. */
class FakeCaches {
  readonly stored = new Map<string, Map<string, { bytes: ArrayBuffer; headers: Headers }>>();

  async open(name: string) {
    const entries = this.stored.get(name) ?? new Map<string, { bytes: ArrayBuffer; headers: Headers }>();
    this.stored.set(name, entries);
    return {
      put: async (url: string, response: Response) => {
        entries.set(url, { bytes: await response.arrayBuffer(), headers: response.headers });
      },
      keys: async () => [...entries.keys()].map((url) => ({ url })),
      delete: async ({ url }: { url: string }) => entries.delete(url),
      match: async ({ url }: { url: string }) => this.match(url, { cacheName: name }),
    };
  }

  async match(url: string, { cacheName }: { cacheName: string }) {
    const found = this.stored.get(cacheName)?.get(url);
    return found && new Response(found.bytes, { headers: found.headers });
  }

  keys = async () => [...this.stored.keys()];
  delete = async (name: string) => this.stored.delete(name);
}

let fake: FakeCaches;

beforeEach(() => {
  sessionStorage.clear();
  fake = new FakeCaches();
  vi.stubGlobal('caches', fake);
});

afterEach(() => vi.unstubAllGlobals());

const entries = () => [...fake.stored.values()].flatMap((cache) => [...cache.entries()]);
const kept = (count: number) => vi.waitFor(() => expect(entries()).toHaveLength(count));

describe('what was last known', () => {
  it('is read back after a reload, says since when it is known, and cannot be read without the key', async () => {
    createSealedStore({ name: 'app' }).open(['acme', 'ann']).keep('flows', { secret: 'the plan' });
    await kept(1);
    const [[place, { bytes }] = ['', { bytes: new ArrayBuffer() }]] = entries();
    expect(new TextDecoder().decode(bytes)).not.toContain('plan');
    expect(place).not.toContain('flows');

    const reloaded = createSealedStore({ name: 'app' });
    const found = await reloaded.open(['acme', 'ann']).recall('flows');
    expect(found?.data).toEqual({ secret: 'the plan' });
    expect(Date.now() - (found?.at ?? 0)).toBeLessThan(60_000);
    for (const other of [['globex', 'ann'], ['acme', 'bob'], ['ann', 'acme'], ['acme,ann'], ['acme'], []])
      expect(await reloaded.open(other).recall('flows'), String(other)).toBeUndefined();

    sessionStorage.clear();
    const without = createSealedStore({ name: 'app' });
    expect(await without.open(['acme', 'ann']).recall('flows')).toBeUndefined();
  });

  it('does not open in another place', async () => {
    const store = createSealedStore({ name: 'app' }).open(['acme', 'ann']);
    store.keep('flows', 1);
    await kept(1);
    store.keep('users', 2);
    await kept(2);
    const [cache] = fake.stored.values();
    const [[flows], [, users]] = entries() as [
      [string, never],
      [string, { bytes: ArrayBuffer; headers: Headers }],
    ];
    cache?.set(flows, users);
    expect(await store.recall('flows')).toBeUndefined();
    expect((await store.recall('users'))?.data).toBe(2);
  });

  it('is bounded, in number and in size', async () => {
    const store = createSealedStore({ name: 'app', entriesMax: 2, entryBytesMax: 100 }).open(['acme']);
    for (const name of ['a', 'b', 'c']) store.keep(name, name);
    store.keep('large', 'x'.repeat(200));
    await vi.waitFor(async () => expect((await store.recall('c'))?.data).toBe('c'));
    expect(entries()).toHaveLength(2);
    expect(await store.recall('a')).toBeUndefined();
    expect(await store.recall('large')).toBeUndefined();
  });

  it('is gone when the session ends, with what is still to be sealed', async () => {
    const store = createSealedStore({ name: 'app' });
    const session = store.open(['acme']);
    session.keep('flows', 'secret');
    await kept(1);
    await expect(expectNothingSurvives({ secrets: [] })).rejects.toThrow('sealing key');
    session.keep('late', 'secret');
    await store.destroy('all');
    session.keep('later', 'secret');
    await settle();
    await expectNothingSurvives({ secrets: ['secret'] });
    expect(await session.recall('flows')).toBeUndefined();
  });

  it('of other tabs stays when one tab forgets its own, and goes when the session ends', async () => {
    const tab = createSealedStore({ name: 'my app' });
    tab.open(['acme']).keep('flows', 'mine');
    await kept(1);
    const keyOfTab = { ...sessionStorage };
    sessionStorage.clear();
    const other = createSealedStore({ name: 'my app' });
    other.open(['globex']).keep('flows', 'theirs');
    await kept(2);
    const keyOfOther = { ...sessionStorage };

    // After a reload, too, it is known what was this tab's.
    sessionStorage.clear();
    Object.assign(sessionStorage, keyOfTab);
    await createSealedStore({ name: 'my app' }).destroy('tab');
    expect(sessionStorage.length).toBe(0);
    expect(entries()).toHaveLength(1);
    Object.assign(sessionStorage, keyOfOther);
    expect((await other.open(['globex']).recall('flows'))?.data).toBe('theirs');

    await other.destroy('tab');
    await expectNothingSurvives({ secrets: [] });
    tab.open(['acme']).keep('flows', 'mine');
    await kept(1);
    sessionStorage.clear();
    await createSealedStore({ name: 'my app' }).destroy('all');
    await expectNothingSurvives({ secrets: [] });
  });

  it('is shown while the server cannot be reached, marked, and read again as soon as it can', async () => {
    const network = fakeNetwork();
    const open = () =>
      createCoherentSession({
        scope: ['acme', 'ann'],
        api: { baseUrl: '', fetch: network.fetch },
        lastKnown: createSealedStore({ name: 'app' }).open(['acme', 'ann']),
      });
    const show = (session: ReturnType<typeof open>) => {
      const observer = new QueryObserver(session.queryClient, {
        queryKey: ['acme', 'ann', 'flows'],
        queryFn: (context) => session.read(context, '/flows'),
      });
      const stop = observer.subscribe(() => {});
      return { observer, stop };
    };

    const online = open();
    const first = show(online);
    await settle();
    network.calls.at(-1)?.answer({ flow: 'one' });
    await kept(1);
    first.stop();
    online.dispose();

    const offline = open();
    const { observer, stop } = show(offline);
    await settle();
    network.calls.at(-1)?.fail(new TypeError('no network'));
    await vi.waitFor(() => expect(observer.getCurrentResult().data).toEqual({ flow: 'one' }));
    expect(offline.activity.lastKnownAt.get()).not.toBeNull();
    await vi.waitFor(() => expect(observer.getCurrentResult().isStale).toBe(true));

    void observer.refetch();
    await settle();
    network.calls.at(-1)?.answer({ flow: 'two' });
    await vi.waitFor(() => expect(observer.getCurrentResult().data).toEqual({ flow: 'two' }));
    expect(offline.activity.lastKnownAt.get()).toBeNull();
    stop();
    offline.dispose();
  });

  it.each([
    [
      'the live connection is back',
      async () => {
        await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2), { timeout: 4_000 });
        FakeSocket.last.greet('p0');
      },
    ],
    [
      'something else was read',
      async (session: CoherentSession, network: ReturnType<typeof fakeNetwork>) => {
        const other = session.read(
          { queryKey: ['t', 'u', 'other'], signal: new AbortController().signal },
          '/other',
        );
        await settle();
        network.calls.at(-1)?.answer({});
        await other;
      },
    ],
  ])('is read again when %s, and is marked until then', async (_, bringBack) => {
    const network = fakeNetwork();
    const lastKnown = { keep: () => {}, recall: async () => ({ data: 'last known', at: 1 }) };
    const session = await liveSession(network, { lastKnown, greetingWaitMs: 0 });
    FakeSocket.last.drop();
    const observer = new QueryObserver<unknown>(session.queryClient, {
      queryKey: ['t', 'u', 'flows'],
      queryFn: (context) => session.read(context, '/flows'),
      retry: false,
    });
    observer.subscribe(() => {});
    await vi.waitFor(() => expect(network.calls).toHaveLength(1));
    network.calls[0]?.fail(new TypeError('no network'));
    await vi.waitFor(() => expect(observer.getCurrentResult().data).toBe('last known'));
    const asked = () => network.calls.filter(({ url }) => url.endsWith('/flows'));

    await bringBack(session, network);
    expect(session.activity.lastKnownAt.get()).toBe(1);
    await vi.waitFor(() => expect(asked()).toHaveLength(2));
    asked()[1]?.answer('of now');
    await vi.waitFor(() => expect(observer.getCurrentResult().data).toBe('of now'));
    expect(session.activity.lastKnownAt.get()).toBeNull();
    session.dispose();
  });
});
