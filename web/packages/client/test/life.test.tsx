import { act, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { useStore } from '../src/react/index.ts';
import { expectNothingSurvives } from '../src/testing/index.ts';
import { identifications, makeApp, type Options, renewal, server, signedIn, tree } from './life-support.tsx';
import { FakeSocket, settle } from './support.ts';

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
    return { app, session };
  }

  it('ends no session whose socket was closed, and is asked again until it can', async () => {
    const { app, session } = await begun();
    FakeSocket.last.drop(4401);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
    expect(session.coherence.state).toBe('catching-up');
    // After about one second, two, four and so on, and never later than thirty.
    expect(identifications()).toBeGreaterThan(4);
    expect(identifications()).toBeLessThan(10);
    server.state.status.me = 200;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(FakeSocket.opened.length).toBeGreaterThan(1);
    expect(app.store.get().auth).toMatchObject({ session: { id: session.id } });
    const settled = identifications();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(identifications()).toBe(settled);
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
