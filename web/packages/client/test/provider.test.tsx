import { useQuery } from '@tanstack/react-query';
import { act, cleanup, render, screen } from '@testing-library/react';
import { Activity, StrictMode } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type CoherentSession,
  createCoherentSession,
  defineRead,
  SessionBoundary,
  useCoherence,
  useCoherentQuery,
  useCoherentSession,
} from '../src/react/index.ts';
import { FakeSocket, fakeNetwork, settle } from './support.ts';

let network: ReturnType<typeof fakeNetwork>;
const sessions: CoherentSession[] = [];

async function startSession(tenant: string): Promise<CoherentSession> {
  const opened = FakeSocket.opened.length;
  const session = createCoherentSession({
    scope: [tenant, 'user'],
    api: { baseUrl: '/api', fetch: network.fetch },
    live: { url: () => 'ws://host/events', WebSocket: FakeSocket },
  });
  sessions.push(session);
  await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(opened + 1));
  return session;
}

beforeEach(() => {
  FakeSocket.opened = [];
  network = fakeNetwork();
});

afterEach(() => {
  cleanup();
  for (const session of sessions.splice(0)) session.dispose();
});

let renders = 0;

function Name() {
  renders += 1;
  const { scope, read } = useCoherentSession();
  const { data } = useQuery({
    queryKey: [...scope, 'name'],
    queryFn: (context) => read<string>(context, '/name'),
  });
  return <p>{data ?? 'loading'}</p>;
}

function State() {
  return <output>{useCoherence().state}</output>;
}

const tree = (session: CoherentSession) => (
  <StrictMode>
    <SessionBoundary session={session}>
      <Name />
      <State />
    </SessionBoundary>
  </StrictMode>
);

async function answer(body: string) {
  await act(async () => {
    await settle();
    network.calls.at(-1)?.answer(body, { groups: ['g'] });
    await settle();
  });
}

describe('the provider', () => {
  it('opens one socket and sends one request even under StrictMode', async () => {
    const session = await startSession('acme');
    render(tree(session));
    await act(async () => FakeSocket.last.greet('p1'));
    await answer('Acme');
    expect(screen.getByText('Acme')).toBeTruthy();
    expect(FakeSocket.opened).toHaveLength(1);
    expect(network.calls).toHaveLength(1);
  });

  it('shows the state of the connection, and re-renders only who reads it', async () => {
    const session = await startSession('acme');
    render(tree(session));
    expect(screen.getByRole('status').textContent).toBe('catching-up');
    await act(async () => FakeSocket.last.greet('p1'));
    expect(screen.getByRole('status').textContent).toBe('live');
    await answer('Acme');

    const before = renders;
    await act(async () => FakeSocket.last.drop());
    expect(screen.getByRole('status').textContent).toBe('catching-up');
    expect(renders).toBe(before);
  });

  it('offers to reconnect only where there is something to connect', async () => {
    const Reconnect = () => (
      <button type="button">{useCoherence().reconnect ? 'try' : 'nothing to try'}</button>
    );
    const plain = createCoherentSession({
      scope: ['acme', 'user'],
      mode: 'plain',
      api: { baseUrl: '/api', fetch: network.fetch },
      live: { url: () => 'ws://host/events', WebSocket: FakeSocket },
    });
    sessions.push(plain);
    const shown = (session: CoherentSession) => (
      <SessionBoundary session={session}>
        <Reconnect />
      </SessionBoundary>
    );
    const { rerender } = render(shown(plain));
    expect(screen.getByRole('button').textContent).toBe('nothing to try');
    rerender(shown(await startSession('acme')));
    expect(screen.getByRole('button').textContent).toBe('try');
  });

  it('never shows the data of the tenant before', async () => {
    const acme = await startSession('acme');
    const { rerender } = render(tree(acme));
    await act(async () => FakeSocket.last.greet('p1'));
    await answer('Acme');

    const globex = await startSession('globex');
    acme.dispose();
    rerender(tree(globex));
    expect(screen.queryByText('Acme')).toBeNull();
    expect(screen.getByText('loading')).toBeTruthy();
    await act(async () => FakeSocket.last.greet('p1'));
    await answer('Globex');
    expect(screen.getByText('Globex')).toBeTruthy();
  });

  it('shows what a new session of the same tenant and user was given, not what the one before had', async () => {
    const analyst = await startSession('acme');
    const { rerender } = render(tree(analyst));
    await act(async () => FakeSocket.last.greet('p1'));
    await answer('as an analyst');

    const administrator = await startSession('acme');
    administrator.queryClient.setQueryData([...administrator.scope, 'name'], 'as an administrator');
    analyst.dispose();
    rerender(tree(administrator));
    expect(screen.getByText('as an administrator')).toBeTruthy();
  });
});

describe('what shows data', () => {
  it('is counted as often as it was rendered and shown', async () => {
    const session = await startSession('acme');
    const { counters } = session.activity;
    const read = defineRead<string>('/name')();
    const Shows = () => <p>{useCoherentQuery(read).data ?? 'loading'}</p>;
    const page = (mode: 'visible' | 'hidden') => (
      <SessionBoundary session={session}>
        <Activity mode={mode}>
          <Shows />
        </Activity>
      </SessionBoundary>
    );
    FakeSocket.last.greet('p1');
    const { rerender } = render(page('hidden'));
    await act(settle);
    expect(counters.renders).toBe(0);
    rerender(page('visible'));
    expect(counters.renders).toBe(1);
    await act(settle);
    network.calls[0]?.answer('Ann');
    expect(await screen.findByText('Ann')).toBeTruthy();
    expect(counters.renders).toBe(2);
  });
});
