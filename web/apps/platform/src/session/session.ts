import { type ApiClient, isApiError } from '@unstale/client';
import { createSealedStore } from '@unstale/client/offline';
import {
  adopt,
  type CoherentSession,
  createUnstale,
  type Identity,
  keyOf,
  useStore,
} from '@unstale/client/react';
import { useContext } from 'react';
import { getStanding, getStart } from '../api/reads';
import type { LoginResult, Standing, Start, UserDefaults } from '../api/types';
import { EngagementOfPage } from './engagement';
import { flags } from './flags';
import { forgetShell, isOfflineWanted, keepShell, offlineUser, wantOffline } from './offline';

import { forgetSignOut, isSignOutOwed, oweSignOut, tellSignOut } from './sign-out';

/**
 * What the platform adds to the life of a session: how one signs in, who is asking, and which engagement a tab is
 * about. The rest (one session per client and user, and what its end takes with it) is the library's.
 */
export const API_BASE = '/api/v1';
/** As long as the first reads wait for the socket's greeting. */
const GREETING_WAIT_MS = 300;

/**
 * What the server sets beside the session's own cookie, which scripts do not see: from when on that is to be refreshed,
 * in seconds since 1970. It grants nothing.
 */
const SIGNED_IN = /(?:^|;\s*)platform_signed_in=(\d+)/;
const refreshAt = () => SIGNED_IN.exec(document.cookie)?.[1];

/** A type and not an interface, which would have no index signature. */
type Chosen = { engagementId: string | null };

export interface UiState {
  navigationOpen: boolean;
}

const sealed = createSealedStore({ name: 'unstale-migrate' });
const lastIdentity = (userId: string) => sealed.open(['identity', userId]);

function liveUrl(path: string, clientId: string | null): string {
  const url = new URL(API_BASE + path, window.location.href);
  if (clientId) url.searchParams.set('client_account_id', clientId);
  return url.href;
}

interface Known {
  me: Standing;
  start: Start;
}

function identityOf({ me, start }: Known, seed: NonNullable<Identity<Chosen>['seed']>): Identity<Chosen> {
  return {
    userId: me.user.id,
    tenantId: me.client?.id ?? null,
    selection: { engagementId: start.engagement_id ?? null },
    rights: JSON.stringify([me.role, me.permissions, me.user.is_platform_admin]),
    seed,
  };
}

async function identify(api: ApiClient): Promise<Identity<Chosen>> {
  try {
    // Of the same moment, so one request.
    const [standing, start] = await Promise.all([
      api.get<Standing>(getStanding().path),
      api.get<Start>(getStart().path),
    ]);
    const known = { me: standing.data, start: start.data };
    return identityOf(known, (session) => {
      adopt(session, getStanding(), standing);
      // With the session, after what was kept of the one before is gone.
      if (offlineUser() === known.me.user.id) lastIdentity(known.me.user.id).keep('known', known);
    });
  } catch (error) {
    const userId = offlineUser();
    const last = isApiError(error, 0) && userId ? await lastIdentity(userId).recall('known') : undefined;
    if (!last) throw error;
    const known = last.data as Known;
    return identityOf(known, (session) =>
      session.queryClient.setQueryData(keyOf(session, getStanding()), known.me),
    );
  }
}

export const unstale = createUnstale<Chosen, UiState>({
  name: 'unstale-migrate',
  baseUrl: API_BASE,
  storageVersion: 2,
  selection: { engagementId: null },
  ui: { navigationOpen: false },
  identify,
  mayBeSignedIn: () => !isSignOutOwed() && (navigator.cookieEnabled === false || refreshAt() !== undefined),
  renewal: {
    dueAt: () => {
      const seconds = refreshAt();
      return seconds === undefined ? undefined : Number(seconds) * 1000;
    },
    send: async (api, signal) => {
      const sent = { anonymous: true, signal };
      return (await api.write<LoginResult>('POST', '/auth/refresh', undefined, sent)).data.user.id;
    },
  },
  live: (clientId) => ({
    url: liveUrl('/events', clientId).replace(/^http/, 'ws'),
    streamUrl: liveUrl('/events/stream', clientId),
  }),
  mode: () => (flags.get('USE_CUSTOM_API_CACHE') ? 'coherent' : 'plain'),
  session: {
    onEvent: ({ data }) => data.entity === 'flags' && void flags.refresh(),
    onResync: () => void flags.refresh(),
  },
  lastKnown: {
    open: (scope) => {
      const wantedBy = offlineUser();
      if (wantedBy === scope.at(-1)) return sealed.open(scope);
      // Somebody else's, whose end nothing told this tab of.
      if (wantedBy !== null) {
        wantOffline(null);
        void sealed.destroy('all');
      }
      return undefined;
    },
    destroy: (of) => sealed.destroy(of),
  },
  onEnd: () => {
    wantOffline(null);
    forgetShell();
    flags.forget();
  },
});

const { store } = unstale;

export const useAuth = () => useStore(store, ({ auth }) => auth);
export const useClientId = () => useStore(store, ({ context }) => context.tenantId);
export const chosenEngagement = (): string | null => store.get().context.selection.engagementId;

/** Of the page that asks. */
export function useEngagementId(): string | null {
  const ofPage = useContext(EngagementOfPage);
  const chosen = useStore(store, ({ context }) => context.selection.engagementId);
  return ofPage ?? chosen;
}
export const useNavigationOpen = () => useStore(store, ({ ui }) => ui.navigationOpen);
export const setNavigationOpen = (navigationOpen: boolean) => unstale.setUi({ navigationOpen });

function running(): CoherentSession | undefined {
  const { auth } = store.get();
  return auth.status === 'signed-in' ? auth.session : undefined;
}

/** What is asked before the socket listens is asked once more when it does: a short wait saves that. */
function whenListening({ coherence }: CoherentSession, then: () => void): void {
  const isListening = () => coherence.state !== 'catching-up';
  if (isListening()) {
    then();
    return;
  }
  const go = () => {
    clearTimeout(timer);
    stop();
    then();
  };
  const timer = setTimeout(go, GREETING_WAIT_MS);
  const stop = coherence.subscribe(() => {
    if (isListening()) go();
  });
}

/** What goes on beside the pages: flags are asked for, and the way of reading follows them. */
export function watchSession(): void {
  let asked: CoherentSession | undefined;
  store.subscribe(() => {
    const session = running();
    if (session && session !== asked) {
      whenListening(session, () => {
        const { auth, context } = store.get();
        if (auth.status === 'signed-in' && running() === session) {
          void flags.start(auth.userId, context.tenantId);
        }
      });
    }
    asked = session;
  });
  let cached = flags.get('USE_CUSTOM_API_CACHE');
  flags.subscribe(() => {
    if (cached === flags.get('USE_CUSTOM_API_CACHE')) return;
    cached = flags.get('USE_CUSTOM_API_CACHE');
    if (store.get().auth.status === 'signed-in') void unstale.restart();
  });
  flags.subscribe(() => {
    // Switched off, it goes, with what was kept; a switch that is merely not known is on.
    if (isOfflineWanted() && !flags.get('ENABLE_OFFLINE_READING')) void setOffline(false);
  });
}

/** Begins to keep what this tab reads, with what is on screen, or forgets all of it. */
export async function setOffline(wanted: boolean): Promise<void> {
  const { auth } = store.get();
  if (auth.status !== 'signed-in') return;
  if (!wanted) {
    wantOffline(null);
    forgetShell();
    return sealed.destroy('tab');
  }
  await keepShell();
  wantOffline(auth.userId);
  // The session begins anew, so that it reads with somewhere to keep what it reads.
  await unstale.restart();
}

export const signIn = (email: string, password: string): Promise<void> =>
  unstale.signIn(async (api) => {
    // If it cannot be told now either, the new session takes the place of the one that was left.
    await tellSignOut(api).catch(() => {});
    await api.write<LoginResult>('POST', '/auth/login', { email, password }, { anonymous: true });
    forgetSignOut();
  });

export interface AccessRequest {
  email: string;
  name: string;
  password: string;
  requested_client?: string;
  reason?: string;
}

export async function requestAccess(request: AccessRequest): Promise<void> {
  await unstale.plainApi().write('POST', '/auth/register', request, { anonymous: true });
}

export const signOut = (): Promise<void> => {
  oweSignOut();
  return unstale.endSession(tellSignOut);
};

/** A sign-out that the server was not told of holds in this browser; it is told as soon as it can be. */
export function watchSignOut(): void {
  const tell = () => void tellSignOut(unstale.plainApi()).catch(() => {});
  globalThis.addEventListener('online', tell);
  tell();
}

/** Makes a client, or the platform itself for its administrators, the acting tenant of this tab. */
export async function switchClient(clientId: string | null): Promise<void> {
  const { auth, context } = store.get();
  if (auth.status !== 'signed-in') return;
  if (clientId === null && context.tenantId !== null) await rememberDefaults(null, null);
  await unstale.switchTenant(clientId);
  // Somebody may have chosen again meanwhile, or be where they were.
  if (clientId === context.tenantId || store.get().context.tenantId !== clientId) return;
  // The next sign-in begins here; if that cannot be stored, nothing else is lost.
  const { engagementId } = store.get().context.selection;
  await rememberDefaults(clientId, engagementId).catch(() => {});
}

export async function chooseEngagement(engagementId: string | null): Promise<void> {
  unstale.select({ engagementId });
  if (startsIn(engagementId)) return;
  await rememberDefaults(store.get().context.tenantId, engagementId);
}

/** Whether the server is known to remember this engagement already: told by it, and of no change since. */
function startsIn(engagementId: string | null): boolean {
  const { auth } = store.get();
  if (auth.status !== 'signed-in' || engagementId === null) return false;
  const { session } = auth;
  const { data, isInvalidated } = session.queryClient.getQueryState<Start>(keyOf(session, getStart())) ?? {};
  return session.coherence.state === 'live' && !isInvalidated && data?.engagement_id === engagementId;
}

async function rememberDefaults(clientId: string | null, engagementId: string | null): Promise<void> {
  const { auth } = store.get();
  if (auth.status !== 'signed-in') return;
  await auth.session.api.write<UserDefaults>('PUT', `/users/${auth.userId}/defaults`, {
    client_account_id: clientId,
    engagement_id: engagementId,
  });
}
