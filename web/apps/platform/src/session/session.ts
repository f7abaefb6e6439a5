import { type ApiClient, createApiClient, isApiError } from '@unstale/client';
import { type CoherentSession, createCoherentSession } from '@unstale/client/react';
import type { ContextMe, LoginResult, UserDefaults } from '../api/types';
import { openSessionChannel, type SessionMessage } from './channel';
import { contextStorage } from './context-storage';
import { type SignedOutReason, usePlatformStore } from './store';

/**
 * The life of a session, outside React: it starts once however often StrictMode renders, and ends as a whole.
 *
 * Invariant: the store's `context.clientId` is the tenant of the running coherent session. Changing it means
 * disposing that session and starting another, so no query or socket ever serves two tenants.
 */
const API_BASE = '/api/v1';
const REFRESH_EVERY_MS = 10 * 60 * 1000;

const store = usePlatformStore;
let refreshTimer: ReturnType<typeof setInterval> | undefined;

/** For what happens outside any tenant: sign-in, registration, the first look at the context. */
function plainApi(clientId?: string | null): ApiClient {
  return createApiClient({ baseUrl: API_BASE, clientAccountId: () => clientId });
}

function liveUrl(clientId: string | null): string {
  const url = new URL(`${API_BASE}/events`, window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (clientId) url.searchParams.set('client_account_id', clientId);
  return url.href;
}

export const contextKey = (session: CoherentSession) => [...session.scope, 'context', 'me'];

function disposeSession(): void {
  clearInterval(refreshTimer);
  const { auth } = store.getState();
  if (auth.status === 'signed-in') auth.session.dispose();
}

function startSession(me: ContextMe, engagementId: string | null): void {
  disposeSession();
  const clientId = me.client?.id ?? null;
  const session = createCoherentSession({
    scope: [clientId ?? 'platform', me.user.id],
    api: { baseUrl: API_BASE, clientAccountId: () => clientId, onUnauthorized: () => endSession('expired') },
    live: { url: () => liveUrl(clientId) },
    onRevoked: () => void recheckSession(),
  });
  session.queryClient.setQueryData(contextKey(session), me);
  refreshTimer = setInterval(() => void refreshToken(), REFRESH_EVERY_MS);
  contextStorage.write({ userId: me.user.id, clientId, engagementId }, Date.now());
  store.setState({
    auth: { status: 'signed-in', userId: me.user.id, session },
    context: { clientId, engagementId },
    ui: { navigationOpen: false },
  });
}

function endSession(reason: SignedOutReason | null): void {
  disposeSession();
  contextStorage.clear();
  store.setState({
    auth: { status: 'signed-out', reason },
    context: { clientId: null, engagementId: null },
    ui: { navigationOpen: false },
  });
}

async function loadContext(clientId: string | null): Promise<ContextMe> {
  return (await plainApi(clientId).get<ContextMe>('/context/me')).data;
}

/** Enters the client the tab had, else the user's default. */
async function enter(): Promise<void> {
  const remembered = contextStorage.read(Date.now());
  const me = await loadContext(remembered?.clientId ?? null).catch((error: unknown) => {
    // The remembered client may be gone, or closed to this user, meanwhile.
    if (remembered?.clientId && isApiError(error, 403, 404)) return loadContext(null);
    throw error;
  });
  const sameContext = remembered?.userId === me.user.id && remembered.clientId === (me.client?.id ?? null);
  startSession(me, (sameContext ? remembered.engagementId : null) ?? me.engagement?.id ?? null);
}

export async function bootSession(): Promise<void> {
  try {
    await enter();
  } catch (error) {
    if (isApiError(error, 401)) endSession(null);
    else store.setState({ auth: { status: 'unreachable' } });
  }
}

/** The socket was closed for cause: the session is revoked, or its rights have changed. */
async function recheckSession(): Promise<void> {
  const before = store.getState().auth;
  try {
    await enter();
  } catch (error) {
    // Meanwhile the session may have ended for a reason that is already shown.
    if (store.getState().auth === before) endSession(isApiError(error, 401) ? 'expired' : null);
  }
}

const channel = openSessionChannel((message: SessionMessage) => {
  const { auth } = store.getState();
  if (message.type === 'signed-out' && auth.status === 'signed-in') endSession('other-tab');
  // Cookies are the browser's, not the tab's: this tab now acts as whoever signed in.
  if (message.type === 'signed-in' && !(auth.status === 'signed-in' && auth.userId === message.userId)) {
    contextStorage.clear();
    void bootSession();
  }
});

export async function signIn(email: string, password: string): Promise<void> {
  contextStorage.clear();
  const { data } = await plainApi().write<LoginResult>(
    'POST',
    '/auth/login',
    { email, password },
    { anonymous: true },
  );
  await enter();
  channel.post({ type: 'signed-in', userId: data.user.id });
}

export interface AccessRequest {
  email: string;
  name: string;
  password: string;
  requested_client?: string;
  reason?: string;
}

export async function requestAccess(request: AccessRequest): Promise<void> {
  await plainApi().write('POST', '/auth/register', request, { anonymous: true });
}

export async function signOut(): Promise<void> {
  const { auth } = store.getState();
  if (auth.status === 'signed-in') auth.session.coherence.close();
  try {
    await plainApi().write('POST', '/auth/logout', undefined, { anonymous: true });
  } finally {
    // Also when the server could not be told: what this browser holds goes in any case.
    endSession('signed-out');
    channel.post({ type: 'signed-out' });
  }
}

async function refreshToken(): Promise<void> {
  const { auth } = store.getState();
  if (auth.status !== 'signed-in') return;
  // A failed refresh is no loss by itself; a 401 ends the session through `onUnauthorized`.
  await auth.session.api.write('POST', '/auth/refresh').catch(() => {});
}

/** Makes a client, or the platform itself for its administrators, the acting tenant of this tab. */
export async function switchClient(clientId: string | null): Promise<void> {
  const { auth, context } = store.getState();
  if (auth.status !== 'signed-in' || context.clientId === clientId) return;
  if (clientId === null) await rememberDefaults(null, null);
  const me = await loadContext(clientId);
  const sameClient = me.engagement?.client_account_id === me.client?.id;
  const engagementId = sameClient ? (me.engagement?.id ?? null) : null;
  startSession(me, engagementId);
  // The next sign-in begins here; if that cannot be stored, nothing else is lost.
  await rememberDefaults(clientId, engagementId).catch(() => {});
}

export async function chooseEngagement(engagementId: string | null): Promise<void> {
  const { auth, context } = store.getState();
  if (auth.status !== 'signed-in') return;
  store.setState({ context: { ...context, engagementId } });
  contextStorage.write({ userId: auth.userId, clientId: context.clientId, engagementId }, Date.now());
  await rememberDefaults(context.clientId, engagementId);
}

async function rememberDefaults(clientId: string | null, engagementId: string | null): Promise<void> {
  const { auth } = store.getState();
  if (auth.status !== 'signed-in') return;
  await auth.session.api.write<UserDefaults>('PUT', `/users/${auth.userId}/defaults`, {
    client_account_id: clientId,
    engagement_id: engagementId,
  });
}
