import { useQuery } from '@tanstack/react-query';
import { act, cleanup, render, screen } from '@testing-library/react';
import { StrictMode } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type CoherentSession,
  createUnstale,
  SessionBoundary,
  type Unstale,
  type UnstaleOptions,
  UnstaleProvider,
  useCoherentSession,
  useStore,
} from '../src/react/index.ts';
import { expectNothingSurvives } from '../src/testing/index.ts';
import { FakeSocket, settle } from './support.ts';

type Chosen = { project: string | null };
type App = Unstale<Chosen, { open: boolean }>;

/** A server with two tenants, one of which is the user's own choice. */
function fakeServer() {
  const calls: string[] = [];
  const state = {
    rights: 'admin',
    user: 'ann' as string | null,
    slow: undefined as Promise<void> | undefined,
    /** What lets requests in has expired. */
    expired: false,
    /** In place of an answer: to whom is asking, and to a renewal. */
    status: { me: 200, renew: 200 },
  };
  const refusal = (url: string, tenant: string): number => {
    const isRenewal = url.endsWith('/renew');
    if (!state.user || (state.expired && !isRenewal)) return 401;
    if (tenant === 'gone') return 404;
    if (isRenewal) return state.status.renew;
    return url.endsWith('/me') ? state.status.me : 200;
  };
  const fetch = async (url: string, init: RequestInit = {}) => {
    const tenant = new Headers(init.headers).get('X-Client-Account-Id') ?? 'acme';
    calls.push(`${init.method ?? 'GET'} ${url} ${tenant}`);
    await state.slow;
    if (init.signal?.aborted) throw init.signal.reason;
    const status = refusal(url, tenant);
    if (status !== 200) return new Response('{}', { status });
    if (url.endsWith('/renew')) state.expired = false;
    const { user, rights } = state;
    return Response.json(
      url.endsWith('/secret') ? { secret: `secret of ${tenant}` } : { user, tenant, rights },
    );
  };
  return { calls, state, fetch: fetch as unknown as typeof globalThis.fetch };
}

let server: ReturnType<typeof fakeServer>;
const apps: App[] = [];

type Options = Pick<
  UnstaleOptions<Chosen, { open: boolean }>,
  'onEnd' | 'mayBeSignedIn' | 'renewal' | 'lastKnown'
>;

/** By `/renew`; nothing is due by itself. */
const renewal: NonNullable<Options['renewal']> = {
  dueAt: () => undefined,
  send: async (api, signal) => {
    const sent = { anonymous: true, signal };
    return (await api.write<{ user: string }>('POST', '/renew', undefined, sent)).data.user;
  },
};

function makeApp(options: Options = {}): App {
  const app = createUnstale<Chosen, { open: boolean }>({
    name: 'test',
    baseUrl: '/api',
    selection: { project: null },
    ui: { open: false },
    api: { fetch: server.fetch },
    session: { greetingWaitMs: 0 },
    live: (tenant) => ({ url: `ws://host/events?tenant=${tenant}` }),
    WebSocket: FakeSocket,
    identify: async (api) => {
      const { data } = await api.get<{ user: string; tenant: string; rights: string }>('/me');
      const { user: userId, tenant: tenantId, rights } = data;
      return { userId, tenantId, rights, selection: { project: 'default' } };
    },
    ...options,
  });
  apps.push(app);
  return app;
}

beforeEach(() => {
  sessionStorage.clear();
  FakeSocket.opened = [];
  server = fakeServer();
});

afterEach(() => {
  cleanup();
  for (const app of apps.splice(0)) {
    const { auth } = app.store.get();
    if (auth.status === 'signed-in') auth.session.dispose();
    app.close();
  }
});

const signedIn = async (app: App): Promise<CoherentSession> => {
  await vi.waitFor(() => expect(app.store.get().auth.status).toBe('signed-in'));
  const { auth } = app.store.get();
  if (auth.status !== 'signed-in') throw new Error('not signed in');
  return auth.session;
};

function Secret() {
  const { scope, read } = useCoherentSession();
  const { data } = useQuery({
    queryKey: [...scope, 'secret'],
    queryFn: (context) => read<{ secret: string }>(context, '/secret'),
  });
  return <p>{data?.secret ?? 'loading'}</p>;
}

function Root({ app }: { app: App }) {
  const auth = useStore(app.store, (state) => state.auth);
  if (auth.status !== 'signed-in') return <p>{auth.status}</p>;
  return (
    <SessionBoundary session={auth.session}>
      <Secret />
    </SessionBoundary>
  );
}

const tree = (app: App) => (
  <StrictMode>
    <UnstaleProvider unstale={app}>
      <Root app={app} />
    </UnstaleProvider>
  </StrictMode>
);

describe('an application', () => {
  it('begins once, however often StrictMode renders, with one request for each thing', async () => {
    const app = makeApp();
    app.start();
    render(tree(app));
    await act(async () => {
      await signedIn(app);
      await settle();
    });
    expect(await screen.findByText('secret of acme')).toBeTruthy();
    expect(server.calls).toEqual(['GET /api/me acme', 'GET /api/secret acme']);
  });

  it('does not ask who is signed in where nobody can be', async () => {
    let isLikely = false;
    const app = makeApp({ mayBeSignedIn: () => isLikely });
    app.start();
    expect(app.store.get().auth).toEqual({ status: 'signed-out', reason: null });
    expect(server.calls).toEqual([]);
    // Only the start: whoever signs in meanwhile, here or in another tab, is asked for.
    await app.retry();
    await signedIn(app);
    isLikely = true;
    const other = makeApp({ mayBeSignedIn: () => isLikely });
    other.start();
    await signedIn(other);
    expect(server.calls).toEqual(['GET /api/me acme', 'GET /api/me acme']);
  });

  it('re-renders only who selected what changed', async () => {
    const app = makeApp();
    app.start();
    await signedIn(app);
    let renders = 0;
    const Reader = () => {
      renders += 1;
      return <p>{useStore(app.store, ({ context }) => context.selection.project)}</p>;
    };
    const ids = Array.from({ length: 1000 }, (_, place) => `reader ${place}`);
    render(ids.map((id) => <Reader key={id} />));
    const before = renders;
    act(() => app.setUi({ open: true }));
    expect(renders - before).toBe(0);
    act(() => app.select({ project: 'other' }));
    expect(renders - before).toBe(1000);
  });

  it('begins with the tenant and selection that the tab had, if they are still to be had', async () => {
    const before = makeApp();
    before.start();
    await signedIn(before);
    await before.switchTenant('globex');
    before.select({ project: 'p' });

    const reloaded = makeApp();
    reloaded.start();
    await signedIn(reloaded);
    expect(reloaded.store.get().context).toEqual({ tenantId: 'globex', selection: { project: 'p' } });

    before.storage.write({ userId: 'ann', tenantId: 'gone', selection: { project: 'p' } });
    const without = makeApp();
    without.start();
    await signedIn(without);
    expect(without.store.get().context).toEqual({ tenantId: 'acme', selection: { project: 'default' } });
  });
});

describe('a socket that the server closed for cause', () => {
  it('is opened again while the rights are the same, and else the session begins anew', async () => {
    const app = makeApp();
    app.start();
    const session = await signedIn(app);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
    FakeSocket.last.greet('p1');
    FakeSocket.last.drop(4401);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p1');
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });

    server.state.rights = 'reader';
    FakeSocket.last.greet('p1');
    FakeSocket.last.drop(4401);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(3));
    const next = await signedIn(app);
    expect(next.id).not.toBe(session.id);
    await expectNothingSurvives({ secrets: [], sessions: [session] });
  });

  it('ends the session if there is none any more', async () => {
    const app = makeApp();
    app.start();
    await signedIn(app);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
    server.state.user = null;
    FakeSocket.last.drop(4401);
    await vi.waitFor(() => expect(app.store.get().auth).toMatchObject({ reason: 'expired' }));
  });
});

describe('a user who signs in once more, in another tab', () => {
  it('is told there by the session that they now have, of what was missed too', async () => {
    const app = makeApp();
    app.start();
    const session = await signedIn(app);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
    const [mine] = FakeSocket.opened;
    mine?.greet('p1');
    const other = makeApp();
    await other.signIn(async () => {});
    // One of the other tab, and a new one of this.
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(3));
    expect(mine?.readyState).toBe(FakeSocket.CLOSED);
    expect(new URL(FakeSocket.last.url).searchParams.get('since')).toBe('p1');
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
  });
});

describe('a server that cannot say for a while who is signed in', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  async function begun() {
    const app = makeApp();
    app.start();
    const session = await signedIn(app);
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
    FakeSocket.last.greet('p1');
    server.state.status.me = 503;
    const asked = () => server.calls.filter((call) => call.includes('/me')).length;
    return { app, session, asked };
  }

  it('ends no session whose socket was closed, and is asked again until it can', async () => {
    const { app, session, asked } = await begun();
    FakeSocket.last.drop(4401);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
    expect(session.coherence.state).toBe('catching-up');
    // After about one second, two, four and so on, and never later than thirty.
    expect(asked()).toBeGreaterThan(4);
    expect(asked()).toBeLessThan(10);
    server.state.status.me = 200;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(FakeSocket.opened.length).toBeGreaterThan(1);
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
    const settled = asked();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked()).toBe(settled);
  });

  it('does not keep a session from beginning anew, whatever else is asked meanwhile', async () => {
    const { app, session } = await begun();
    void app.restart();
    await vi.advanceTimersByTimeAsync(10);
    FakeSocket.last.drop(4401);
    const switching = expect(app.switchTenant('globex')).rejects.toMatchObject({ status: 503 });
    await vi.advanceTimersByTimeAsync(10);
    await switching;
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
    server.state.status.me = 200;
    await vi.advanceTimersByTimeAsync(30_000);
    expect((await signedIn(app)).id).not.toBe(session.id);
  });

  it('ends it once it says that there is none', async () => {
    const { app } = await begun();
    FakeSocket.last.drop(4401);
    await vi.advanceTimersByTimeAsync(5_000);
    server.state.user = null;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(app.store.get().auth).toMatchObject({ status: 'signed-out', reason: 'expired' });
  });
});

describe('what requests are let in by', () => {
  const renewals = () => server.calls.filter((call) => call.startsWith('POST /api/renew')).length;
  const expired = { reason: 'expired' };

  async function begun(options: Options = { renewal }) {
    const app = makeApp(options);
    app.start();
    const session = await signedIn(app);
    server.state.expired = true;
    return { app, session };
  }

  it('is renewed once for all who find it expired, and they are answered', async () => {
    const { app, session } = await begun();
    const answers = await Promise.all([
      session.api.get('/a', { batch: false }),
      session.api.get('/b', { batch: false }),
      session.api.write('POST', '/c'),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(renewals()).toBe(1);
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
  });

  it('is renewed at the start too', async () => {
    server.state.expired = true;
    const app = makeApp({ renewal });
    app.start();
    await signedIn(app);
    expect(renewals()).toBe(1);
  });

  it('is renewed when it is due', async () => {
    const app = makeApp({ renewal: { ...renewal, dueAt: () => Date.now() - 1 } });
    app.start();
    await signedIn(app);
    await vi.waitFor(() => expect(renewals()).toBe(1));
  });

  it('ends the session if its renewal is refused, and only then', async () => {
    const { app, session } = await begun();
    server.state.status.renew = 503;
    await expect(session.api.get('/a')).rejects.toMatchObject({ status: 503 });
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
    server.state.status.renew = 401;
    await session.api.get('/a').catch(() => {});
    expect(app.store.get().auth).toMatchObject(expired);
  });

  it('ends the session at once where there is no renewal', async () => {
    const { app, session } = await begun({});
    await session.api.get('/a').catch(() => {});
    expect(app.store.get().auth).toMatchObject(expired);
  });

  it('may be somebody else’s by now, for whom nothing is sent again', async () => {
    const { app, session } = await begun();
    server.state.user = 'bob';
    await session.api.write('POST', '/c').catch(() => {});
    expect(server.calls.filter((call) => call.startsWith('POST /api/c'))).toHaveLength(1);
    await vi.waitFor(() => expect(app.store.get().auth).toMatchObject({ userId: 'bob' }));
  });
});

describe('the end of a session', () => {
  async function shown() {
    const onEnd = vi.fn();
    const app = makeApp({ onEnd });
    app.start();
    render(tree(app));
    const session = await act(() => signedIn(app));
    expect(await screen.findByText('secret of acme')).toBeTruthy();
    return { app, session, onEnd };
  }

  it('leaves nothing: in memory, in storage, on screen, or by writes that come late', async () => {
    const { app, session, onEnd } = await shown();
    await expect(expectNothingSurvives({ secrets: ['secret of acme'] })).rejects.toThrow('the page has');
    await act(() => app.endSession((api) => api.write('POST', '/logout')));
    await expectNothingSurvives({ secrets: ['secret of acme'], sessions: [session] });
    expect(sessionStorage.length).toBe(0);
    expect(onEnd).toHaveBeenCalledOnce();
    expect(server.calls).toContain('POST /api/logout acme');
  });

  it('comes although the server cannot be told', async () => {
    const { app, session } = await shown();
    await act(() => app.endSession(() => Promise.reject(new Error('down'))).catch(() => {}));
    expect(app.store.get().auth).toEqual({ status: 'signed-out', reason: 'signed-out' });
    await expectNothingSurvives({ secrets: ['secret of acme'], sessions: [session] });
  });

  it('comes although the server says nothing', async () => {
    const { app } = await shown();
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const ended = app.endSession(() => new Promise(() => {}));
    await act(() => vi.advanceTimersByTimeAsync(4_999));
    expect(app.store.get().auth.status).toBe('signed-in');
    await act(() => vi.advanceTimersByTimeAsync(1));
    await ended;
    vi.useRealTimers();
    expect(app.store.get().auth).toEqual({ status: 'signed-out', reason: 'signed-out' });
  });

  it('ends it in the other tabs', async () => {
    const other = makeApp();
    other.start();
    const theirs = await signedIn(other);
    const { app } = await shown();
    await act(() => app.endSession());
    await vi.waitFor(() => expect(other.store.get().auth).toMatchObject({ reason: 'other-tab' }));
    await expectNothingSurvives({ secrets: ['secret of acme'], sessions: [theirs] });
  });

  it('reaches a tab that is still asking who is signed in', async () => {
    const { app } = await shown();
    let answer = () => {};
    server.state.slow = new Promise((resolve) => {
      answer = resolve;
    });
    const asked = () => server.calls.filter((call) => call.includes('/me')).length;
    const before = asked();
    const starting = makeApp();
    starting.start();
    await vi.waitFor(() => expect(asked()).toBe(before + 1));
    await act(() => app.endSession());
    await vi.waitFor(() => expect(starting.store.get().auth).toMatchObject({ reason: 'other-tab' }));
    // What is answered now was true before.
    answer();
    await settle();
    expect(starting.store.get().auth.status).toBe('signed-out');
    expect(sessionStorage.length).toBe(0);
  });

  it('makes a tab that is just signing in ask once more: it may have been before or after', async () => {
    const { app } = await shown();
    let answer = () => {};
    server.state.slow = new Promise((resolve) => {
      answer = resolve;
    });
    const asked = () => server.calls.filter((call) => call.includes('/me')).length;
    const before = asked();
    const signing = makeApp({ mayBeSignedIn: () => false });
    signing.start();
    const signedInThere = signing.signIn(async () => {});
    await vi.waitFor(() => expect(asked()).toBe(before + 1));
    await act(() => app.endSession());
    await vi.waitFor(() => expect(asked()).toBe(before + 2));
    answer();
    await signedInThere;
    await signedIn(signing);
  });

  it('comes with another user, in whatever tab they signed in, and takes what was kept with it', async () => {
    const destroy = vi.fn(async () => {});
    const lastKnown = { open: () => undefined, destroy };
    const onEnd = vi.fn();
    const app = makeApp({ lastKnown, onEnd });
    app.start();
    const session = await signedIn(app);
    server.state.user = 'bob';
    const other = makeApp();
    await other.signIn(async () => {});
    await vi.waitFor(() => expect(app.store.get().auth).toMatchObject({ userId: 'bob' }));
    expect([destroy.mock.calls.length, onEnd.mock.calls.length]).toEqual([1, 1]);
    await expectNothingSurvives({ secrets: ['ann'], sessions: [session] });

    // As after a sign-in that no message told of.
    server.state.user = 'ann';
    const reloaded = makeApp({ lastKnown, onEnd });
    reloaded.start();
    await signedIn(reloaded);
    expect([destroy.mock.calls.length, onEnd.mock.calls.length]).toEqual([2, 2]);
    await expectNothingSurvives({ secrets: ['bob'] });
  });

  it('of a tenant that was closed takes what was kept of it, before the next one begins', async () => {
    const happened: string[] = [];
    const lastKnown = {
      open: ([tenant]: readonly string[]) => void happened.push(`open ${tenant}`),
      destroy: async () => void happened.push('destroy'),
    };
    const app = makeApp({ lastKnown });
    app.storage.write({ userId: 'ann', tenantId: 'gone', selection: { project: null } });
    app.start();
    await signedIn(app);
    expect(happened).toEqual(['destroy', 'open acme']);
    const reloaded = makeApp({ lastKnown });
    reloaded.start();
    await signedIn(reloaded);
    expect(happened).toEqual(['destroy', 'open acme', 'open acme']);
  });

  it('is not undone by a switch of tenant that was under way', async () => {
    const { app } = await shown();
    let answer = () => {};
    server.state.slow = new Promise((resolve) => {
      answer = resolve;
    });
    const switching = app.switchTenant('globex');
    await act(() => app.endSession());
    answer();
    await switching;
    expect(app.store.get().auth.status).toBe('signed-out');
    expect(sessionStorage.length).toBe(0);
  });

  it('follows a 401 of any read, but not one of a session that is over', async () => {
    const { app } = await shown();
    server.state.user = null;
    const { auth } = app.store.get();
    if (auth.status !== 'signed-in') throw new Error('not signed in');
    await act(async () => {
      await auth.session.api.get('/anything').catch(() => {});
    });
    expect(app.store.get().auth).toEqual({ status: 'signed-out', reason: 'expired' });
  });

  it('that a test must notice if it is not one', async () => {
    const { session } = await shown();
    session.queryClient.clear();
    await expect(expectNothingSurvives({ secrets: [], sessions: [session] })).rejects.toThrow(
      /keeps the query|still reads/,
    );
  });
});

describe('a page that comes out of the back/forward cache', () => {
  const transition = (type: string) =>
    window.dispatchEvent(Object.assign(new Event(type), { persisted: true }));

  /** Shown again, while the server has not answered yet. */
  async function shownAgain(options: Options = {}) {
    const app = makeApp(options);
    app.start();
    render(tree(app));
    const session = await act(() => signedIn(app));
    expect(await screen.findByText('secret of acme')).toBeTruthy();
    let answer = () => {};
    server.state.slow = new Promise((resolve) => {
      answer = resolve;
    });
    transition('pagehide');
    const answered = async () => {
      server.state.slow = undefined;
      answer();
      await settle();
    };
    return { app, session, answered };
  }

  it('shows nothing before it is known whose it is, and then what it had', async () => {
    const { app, session, answered } = await shownAgain();
    act(() => void transition('pageshow'));
    expect(document.body.textContent).toBe('starting');
    await act(answered);
    expect(await screen.findByText('secret of acme')).toBeTruthy();
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
  });

  it('shows nothing of somebody who has signed out since, or of somebody else', async () => {
    const { app, session, answered } = await shownAgain();
    server.state.user = 'bob';
    act(() => void transition('pageshow'));
    await act(answered);
    await vi.waitFor(() => expect(app.store.get().auth).toMatchObject({ userId: 'bob' }));
    await expectNothingSurvives({ secrets: ['ann'], sessions: [session] });

    server.state.user = null;
    transition('pagehide');
    act(() => void transition('pageshow'));
    expect(document.body.textContent).toBe('starting');
    await vi.waitFor(() => expect(app.store.get().auth).toMatchObject({ reason: 'expired' }));
    await expectNothingSurvives({ secrets: ['secret of acme', 'bob'] });
  });

  it('asks nobody where nobody can be signed in, and whoever is where it showed nobody', async () => {
    let isLikely = true;
    const { app, session } = await shownAgain({ mayBeSignedIn: () => isLikely });
    isLikely = false;
    const asked = server.calls.length;
    act(() => void transition('pageshow'));
    expect(app.store.get().auth).toEqual({ status: 'signed-out', reason: 'other-tab' });
    await expectNothingSurvives({ secrets: ['secret of acme'], sessions: [session] });
    expect(server.calls).toHaveLength(asked);

    server.state.slow = undefined;
    isLikely = true;
    act(() => void transition('pageshow'));
    await act(() => signedIn(app));
  });

  it('says that the server cannot be reached, and shows what it had once it can', async () => {
    const { app, session, answered } = await shownAgain();
    server.state.status.me = 503;
    act(() => void transition('pageshow'));
    await act(answered);
    await vi.waitFor(() => expect(app.store.get().auth.status).toBe('unreachable'));
    server.state.status.me = 200;
    await act(() => app.retry());
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
  });
});

describe('a switch of tenant', () => {
  it('shows nothing of the old one, keeps nothing of it, and listens for the new one', async () => {
    const app = makeApp();
    app.start();
    render(tree(app));
    const acme = await act(() => signedIn(app));
    expect(await screen.findByText('secret of acme')).toBeTruthy();
    await act(() => app.switchTenant('globex'));
    expect(screen.queryByText('secret of acme')).toBeNull();
    expect(await screen.findByText('secret of globex')).toBeTruthy();
    await expectNothingSurvives({ secrets: ['secret of acme', 'acme'], sessions: [acme] });
    await vi.waitFor(() => expect(FakeSocket.last.url).toContain('tenant=globex'));
  });
});
