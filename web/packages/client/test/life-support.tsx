/** An application before a server with two tenants, as the tests of a session's life have it. */
import { useQuery } from '@tanstack/react-query';
import { cleanup } from '@testing-library/react';
import { StrictMode } from 'react';
import { afterEach, beforeEach, expect, vi } from 'vitest';
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
import { FakeSocket } from './support.ts';

type Chosen = { project: string | null };
export type App = Unstale<Chosen, { open: boolean }>;

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

/** Another one for each test. */
export let server: ReturnType<typeof fakeServer>;
const apps: App[] = [];

export type Options = Pick<
  UnstaleOptions<Chosen, { open: boolean }>,
  'onEnd' | 'mayBeSignedIn' | 'renewal' | 'lastKnown'
>;

/** By `/renew`; nothing is due by itself. */
export const renewal: NonNullable<Options['renewal']> = {
  dueAt: () => undefined,
  send: async (api, signal) => {
    const sent = { anonymous: true, signal };
    return (await api.write<{ user: string }>('POST', '/renew', undefined, sent)).data.user;
  },
};

export function makeApp(options: Options = {}): App {
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

export const signedIn = async (app: App): Promise<CoherentSession> => {
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

export const tree = (app: App) => (
  <StrictMode>
    <UnstaleProvider unstale={app}>
      <Root app={app} />
    </UnstaleProvider>
  </StrictMode>
);

/** Keeps the server's answers back until what it returns is called. */
export function holdAnswers(): () => void {
  let answer = () => {};
  server.state.slow = new Promise((resolve) => {
    answer = resolve;
  });
  return answer;
}

/** How often the server was asked who is signed in. */
export const identifications = () => server.calls.filter((call) => call.includes('/me')).length;
