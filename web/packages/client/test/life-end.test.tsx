import { act, render, screen } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { expectNothingSurvives } from '../src/testing/index.ts';
import {
  holdAnswers,
  identifications,
  makeApp,
  type Options,
  server,
  signedIn,
  tree,
} from './life-support.tsx';
import { FakeSocket, settle } from './support.ts';

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
    const answer = holdAnswers();
    const before = identifications();
    const starting = makeApp();
    starting.start();
    await vi.waitFor(() => expect(identifications()).toBe(before + 1));
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
    const answer = holdAnswers();
    const before = identifications();
    const signing = makeApp({ mayBeSignedIn: () => false });
    signing.start();
    const signedInThere = signing.signIn(async () => {});
    await vi.waitFor(() => expect(identifications()).toBe(before + 1));
    await act(() => app.endSession());
    await vi.waitFor(() => expect(identifications()).toBe(before + 2));
    answer();
    await signedInThere;
    await signedIn(signing);
  });

  it('comes with another user, in whatever tab they signed in, and takes what was kept with it', async () => {
    const destroyed: string[] = [];
    const lastKnown = { open: () => undefined, destroy: async (of: string) => void destroyed.push(of) };
    const onEnd = vi.fn();
    const app = makeApp({ lastKnown, onEnd });
    app.start();
    const session = await signedIn(app);
    server.state.user = 'bob';
    const other = makeApp();
    await other.signIn(async () => {});
    await vi.waitFor(() => expect(app.store.get().auth).toMatchObject({ userId: 'bob' }));
    expect([destroyed, onEnd.mock.calls.length]).toEqual([['all'], 1]);
    await expectNothingSurvives({ secrets: ['ann'], sessions: [session] });

    // As after a sign-in that no message told of.
    server.state.user = 'ann';
    const reloaded = makeApp({ lastKnown, onEnd });
    reloaded.start();
    await signedIn(reloaded);
    expect([destroyed, onEnd.mock.calls.length]).toEqual([['all', 'all'], 2]);
    await expectNothingSurvives({ secrets: ['bob'] });
  });

  it('of a tenant that was closed takes what was kept of it, before the next one begins', async () => {
    const happened: string[] = [];
    const lastKnown = {
      open: ([tenant]: readonly string[]) => void happened.push(`open ${tenant}`),
      destroy: async (of: string) => void happened.push(`destroy ${of}`),
    };
    const app = makeApp({ lastKnown });
    app.storage.write({ userId: 'ann', tenantId: 'gone', selection: { project: null } });
    app.start();
    await signedIn(app);
    expect(happened).toEqual(['destroy tab', 'open acme']);
    const reloaded = makeApp({ lastKnown });
    reloaded.start();
    await signedIn(reloaded);
    expect(happened).toEqual(['destroy tab', 'open acme', 'open acme']);
  });

  it('is not undone by a switch of tenant that was under way', async () => {
    const { app } = await shown();
    const answer = holdAnswers();
    const switching = app.switchTenant('globex');
    await act(() => app.endSession());
    answer();
    await switching;
    expect(app.store.get().auth.status).toBe('signed-out');
    expect(sessionStorage.length).toBe(0);
  });

  it('is not had by whoever goes back to a tenant before another one has come', async () => {
    const { app, session } = await shown();
    const answer = holdAnswers();
    const switching = app.switchTenant('globex');
    await app.switchTenant('acme');
    answer();
    await act(() => switching);
    await settle();
    expect(app.store.get().context.tenantId).toBe('acme');
    expect(await signedIn(app)).toBe(session);
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
    const answer = holdAnswers();
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
