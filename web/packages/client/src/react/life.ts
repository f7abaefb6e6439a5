import { type ApiClient, type ApiClientOptions, createApiClient, isApiError } from '@unstale/client';
import { openChannel } from './channel.ts';
import { retryDelayMs } from './query-client.ts';
import { createRenewal, type RenewalOptions } from './renewal.ts';
import {
  type CoherentSession,
  type CoherentSessionOptions,
  createCoherentSession,
  type LastKnown,
} from './session.ts';
import { type ContextStorage, createContextStorage } from './storage.ts';
import { createStore, type Store } from './store.ts';

/**
 * The life of a session, outside React: who is signed in, for which tenant, and what that ends.
 *
 * Invariants:
 * - `context.tenantId` is the tenant of the running session; another tenant is another session, so no query and no
 *   socket ever serves two;
 * - what a session held is gone when it ends: memory, storage, other tabs, and what is still on its way;
 * - whatever was asked for a session that has ended meanwhile changes nothing;
 * - a page that was away where nothing reaches it shows nothing before it is known whose it is.
 */
export type SignedOutReason = 'signed-out' | 'other-tab' | 'expired';

export type AuthState =
  | { status: 'starting' }
  | { status: 'unreachable' }
  | { status: 'signed-out'; reason: SignedOutReason | null }
  | { status: 'signed-in'; userId: string; session: CoherentSession };

/** What a tab works on within its tenant, such as an engagement. */
export type Selection = Readonly<Record<string, string | null>>;

export interface ContextState<S extends Selection> {
  tenantId: string | null;
  selection: S;
}

export interface UnstaleState<S extends Selection = Selection, U = unknown> {
  auth: AuthState;
  context: ContextState<S>;
  ui: U;
}

/** Who the server says is asking, for which tenant. */
export interface Identity<S extends Selection> {
  userId: string;
  tenantId: string | null;
  selection: S;
  /** What the user may do, in any words: while these are the same, a session whose socket was closed goes on. */
  rights?: string;
  /** Gives the new session what is known already. */
  seed?: (session: CoherentSession) => void;
}

export interface UnstaleOptions<S extends Selection, U> {
  /** Names storage and channels: one per application and origin. */
  name: string;
  baseUrl: string;
  /** Asks the server who is signed in; for the tenant that was remembered, or null for the user's own choice. */
  identify: (api: ApiClient, tenantId: string | null) => Promise<Identity<S>>;
  /**
   * Whether anybody can be signed in, as far as the browser can tell; only its `false` counts, and then the server is not
   * asked at the start.
   */
  mayBeSignedIn?: () => boolean;
  /** How that is renewed by which requests are let in. Without it, the first 401 ends the session. */
  renewal?: Pick<RenewalOptions, 'dueAt'> & {
    /**
     * Exchanges it for something new, although it may have expired. Resolves with whose it is. Refused with 401 or 403,
     * the session is over.
     */
    send: (api: ApiClient, signal: AbortSignal) => Promise<string>;
  };
  /** Addresses of live events for a tenant. */
  live?: (tenantId: string | null) => { url: string; streamUrl?: string } | undefined;
  selection: S;
  ui: U;
  api?: Pick<ApiClientOptions, 'batch' | 'trace' | 'fetch'>;
  session?: Pick<CoherentSessionOptions, 'onEvent' | 'onResync' | 'greetingWaitMs'>;
  /** Asked whenever a session begins. */
  mode?: () => 'coherent' | 'plain';
  /** Storage of last known answers; opened with a session. Its end, or another user, destroys all of it; another tenant this tab's. */
  lastKnown?: LastKnownStore | undefined;
  /** Raised when the shape of the selection changes. */
  storageVersion?: number;
  /** For whatever else the application holds of a user: their session has ended, or somebody else's takes its place. */
  onEnd?: () => void;
  WebSocket?: unknown;
}

export interface LastKnownStore {
  /** Undefined while nothing is to be kept. */
  open(scope: readonly string[]): LastKnown | undefined;
  /** Forgets what this tab has kept, or what any tab has, and whatever it could be read with. */
  destroy(of: 'tab' | 'all'): Promise<void>;
}

interface Remembered<S> {
  userId: string;
  tenantId: string | null;
  selection: S;
}

type TabMessage = { type: 'ended' } | { type: 'began'; userId: string };

export interface Unstale<S extends Selection = Selection, U = unknown> {
  readonly store: Store<UnstaleState<S, U>>;
  readonly storage: ContextStorage<Remembered<S>>;
  /** Finds out who is signed in. Does so once; later calls do nothing. */
  start(): void;
  /** As `start`, again: after the server could not be reached. */
  retry(): Promise<void>;
  /** Signs in by `send`, and tells the other tabs. */
  signIn(send: (api: ApiClient) => Promise<unknown>): Promise<void>;
  /** Ends the session here and in the other tabs, whether or not `tell` reaches the server. */
  endSession(tell?: (api: ApiClient) => Promise<unknown>): Promise<void>;
  /** Works for another tenant from now on, or for none. Nothing of the one before is kept. Of several, the last counts. */
  switchTenant(tenantId: string | null): Promise<void>;
  /**
   * Begins the session anew: rights, or the way things are read, have changed. If the server cannot say now who is signed
   * in, the session stays and is begun anew as soon as it can.
   */
  restart(): Promise<void>;
  select(selection: S): void;
  setUi(change: Partial<U>): void;
  /** For what happens outside any session: sign-in, registration. */
  plainApi(tenantId?: string | null): ApiClient;
  /** Leaves the channel between tabs, renews nothing and looks at nothing any more; for tests. */
  close(): void;
}

/** Whoever signs out does not wait longer for a server that says nothing. */
const TELL_MS_MAX = 5_000;

export function createUnstale<S extends Selection, U>(options: UnstaleOptions<S, U>): Unstale<S, U> {
  const { name, baseUrl, identify } = options;
  const store = createStore<UnstaleState<S, U>>({
    auth: { status: 'starting' },
    context: { tenantId: null, selection: options.selection },
    ui: options.ui,
  });
  const storage = createContextStorage<Remembered<S>>({
    name: `${name}:context`,
    version: options.storageVersion ?? 1,
  });
  // Without one the other tabs notice at their next request, by its 401.
  const channel = openChannel<TabMessage>(`${name}:session`, hear);
  /** Counts beginnings and ends, so that an answer for one that is over can be told. */
  let turn = 0;
  /** The turn of the last switch of tenant. */
  let switching: number | undefined;
  /** How often it is being asked who is signed in. */
  let entering = 0;
  let started = false;
  let rights: string | undefined;
  /** Also while it is not shown, because it is not known whether it is still of whoever is signed in. */
  let current: { userId: string; session: CoherentSession } | undefined;
  /** Whether what was last known is gone that was to go. */
  let destroyed: Promise<void> | undefined;
  /** What is still to be done for the running session: to ask who is signed in, or to begin anew in any case. */
  let owed: 'check' | 'restart' | undefined;
  let failures = 0;
  let nextAttempt: ReturnType<typeof setTimeout> | undefined;
  const { renewal: how } = options;
  const renewal =
    how &&
    createRenewal({
      name: `${name}:renewal`,
      dueAt: how.dueAt,
      send: (signal) => how.send(createApiClient({ ...options.api, baseUrl }), signal),
      onDue: async () => {
        const session = running();
        // What cannot be renewed now is looked at again.
        if (session) await renewed(session).catch(() => {});
      },
    });

  function plainApi(tenantId?: string | null): ApiClient {
    const onUnauthorized = async (sentAt: number) => {
      try {
        await renewal?.now(sentAt);
        return renewal !== undefined;
      } catch (error) {
        if (isRefused(error)) return false;
        throw error;
      }
    };
    const api = { batch: {}, ...options.api, baseUrl, onUnauthorized };
    return createApiClient({ ...api, clientAccountId: () => tenantId });
  }

  function running(): CoherentSession | undefined {
    return current?.session;
  }

  /**
   * Renews what the requests of `session` are let in by. Resolves with whether it goes on; rejects if that cannot be
   * known now. Only a refusal ends it.
   */
  async function renewed(session: CoherentSession, sentAt?: number): Promise<boolean> {
    try {
      const userId = await renewal?.now(sentAt);
      if (current?.session !== session) return false;
      if (userId === current.userId) {
        if (session.coherence.state === 'degraded') session.coherence.reconnect();
        return true;
      }
      if (userId === undefined) end('expired');
      // Cookies are the browser's: somebody else has signed in, and what was asked for this user is not asked for them.
      else hear({ type: 'began', userId });
    } catch (error) {
      if (!isRefused(error)) throw error;
      if (running() === session) end('expired');
    }
    return false;
  }

  function begin({ userId, tenantId, selection, seed, rights: found }: Identity<S>): void {
    turn += 1;
    rights = found;
    paid();
    const before = running();
    const scope = [tenantId ?? 'platform', userId];
    const live = options.live?.(tenantId);
    const session = createCoherentSession({
      ...options.session,
      scope,
      mode: options.mode?.() ?? 'coherent',
      api: {
        batch: {},
        ...options.api,
        baseUrl,
        clientAccountId: () => tenantId,
        onUnauthorized: async (sentAt) => running() === session && renewed(session, sentAt),
      },
      live: live && {
        url: () => live.url,
        ...(live.streamUrl ? { streamUrl: () => live.streamUrl ?? '' } : {}),
        ...(options.WebSocket ? { WebSocket: options.WebSocket } : {}),
        shareAs: [name, ...scope].join(':'),
      },
      lastKnown: options.lastKnown?.open(scope),
      onRevoked: () => running() === session && void recheck(),
    });
    current = { userId, session };
    seed?.(session);
    storage.write({ userId, tenantId, selection });
    store.set(({ ui }) => ({
      auth: { status: 'signed-in', userId, session },
      context: { tenantId, selection },
      ui,
    }));
    // After the new one is in place: its tree replaces the old one's before that could show itself emptied.
    before?.dispose();
    renewal?.look();
  }

  function end(reason: SignedOutReason | null): void {
    leave({ status: 'signed-out', reason });
  }

  /** Nothing of whoever was here stays. */
  function leave(auth: AuthState): void {
    turn += 1;
    paid();
    const before = running();
    current = undefined;
    store.set({ auth, context: { tenantId: null, selection: options.selection }, ui: options.ui });
    before?.dispose();
    storage.clear();
    destroy('all');
    options.onEnd?.();
  }

  function destroy(of: 'tab' | 'all'): void {
    destroyed = options.lastKnown?.destroy(of).catch(() => {});
  }

  /** What was kept of another user or tenant goes before anything of the one that was found comes. */
  async function forgetOthers(
    { userId, tenantId }: Identity<S>,
    remembered: Remembered<S> | null,
  ): Promise<void> {
    const before = current ? { userId: current.userId, tenantId: store.get().context.tenantId } : remembered;
    const isOtherUser = before && before.userId !== userId;
    if (isOtherUser) {
      options.onEnd?.();
      destroy('all');
    } else if (before && before.tenantId !== tenantId) destroy('tab');
    await destroyed;
  }

  /** Enters the tenant the tab had, else the user's own choice. */
  async function enter(mayGoOn = false): Promise<void> {
    entering += 1;
    await enterNow(mayGoOn).finally(() => {
      entering -= 1;
    });
  }

  async function enterNow(mayGoOn: boolean): Promise<void> {
    const mine = ++turn;
    const remembered = storage.read();
    const found = await identify(plainApi(remembered?.tenantId), remembered?.tenantId ?? null)
      .catch((error: unknown) => {
        // The remembered tenant may be gone, or closed to this user, meanwhile.
        if (remembered?.tenantId && isApiError(error, 403, 404)) return identify(plainApi(), null);
        throw error;
      })
      .catch((error: unknown) => {
        if (mine === turn) throw error;
      });
    // Meanwhile the session may have ended, or another begun, for a reason that is already shown.
    if (mine !== turn || !found) return;
    await forgetOthers(found, remembered);
    if (mine !== turn) return;
    const unchanged =
      current?.userId === found.userId &&
      store.get().context.tenantId === found.tenantId &&
      found.rights !== undefined &&
      found.rights === rights;
    if (mayGoOn && current && unchanged) {
      paid();
      const auth: AuthState = { status: 'signed-in', ...current };
      store.set((state) => (state.auth.status === 'signed-in' ? state : { ...state, auth }));
      return current.session.coherence.reconnect();
    }
    const same = remembered?.userId === found.userId && remembered.tenantId === found.tenantId;
    begin(same ? { ...found, selection: { ...found.selection, ...given(remembered.selection) } } : found);
  }

  async function retry(): Promise<void> {
    if (current) return recheck();
    try {
      await enter();
    } catch (error) {
      if (isApiError(error, 401)) end(null);
      else store.set((state) => ({ ...state, auth: { status: 'unreachable' } }));
    }
  }

  /**
   * Does what is owed. Until the server can say who is signed in, the session stays as it is shown, catching up: only a
   * refusal ends it. Resolves after the first attempt.
   */
  async function settle(): Promise<void> {
    clearTimeout(nextAttempt);
    try {
      await enter(owed === 'check');
    } catch (error) {
      if (isRefused(error)) return end(isApiError(error, 401) ? 'expired' : null);
      store.set((state) =>
        state.auth.status === 'signed-in' ? state : { ...state, auth: { status: 'unreachable' } },
      );
      // With jitter: what failed for one page failed for many.
      nextAttempt = setTimeout(() => void settle(), retryDelayMs(failures, error) * (1 + Math.random() / 2));
      failures += 1;
    }
  }

  /** A switch of tenant comes to nothing: what it took the turn of is still to be done. */
  function calledOff(): void {
    turn += 1;
    if (owed) void settle();
  }

  function paid(): void {
    clearTimeout(nextAttempt);
    owed = undefined;
    failures = 0;
  }

  function restart(): Promise<void> {
    owed = 'restart';
    return settle();
  }

  /** The server closed the socket for cause: the session is over, or something about its user has changed. */
  function recheck(): Promise<void> {
    owed ??= 'check';
    return settle();
  }

  function hear(message: TabMessage): void {
    const { auth } = store.get();
    if (message.type === 'ended') {
      // Whoever is asked about just now may be the one who is not there any more.
      if (auth.status !== 'signed-out') end('other-tab');
      else if (entering > 0) void retry();
    }
    if (message.type !== 'began') return;
    // Cookies are the browser's, not the tab's: this tab now acts as whoever signed in.
    if (current?.userId === message.userId) {
      // By another session of the server's, to which it tells what its own requests were answered with.
      current.session.coherence.reconnect();
      return;
    }
    if (current) leave({ status: 'starting' });
    else storage.clear();
    void retry();
  }

  /** A page in the back/forward cache is told nothing: whoever it shows may have signed out since. */
  function shownAgain({ persisted }: PageTransitionEvent): void {
    if (!persisted || !started) return;
    const isSignedOut = store.get().auth.status === 'signed-out';
    const mayBe = options.mayBeSignedIn?.();
    if (mayBe === false) {
      if (!isSignedOut) end('other-tab');
    } else if (current) {
      // Hidden before anything of it is painted, and shown as it was once it is known to be theirs.
      store.set((state) => ({ ...state, auth: { status: 'starting' } }));
      void recheck();
    } else if (!isSignedOut || mayBe) void retry();
  }
  globalThis.addEventListener?.('pageshow', shownAgain);

  return {
    store,
    storage,
    plainApi,
    retry,
    restart,

    start: () => {
      if (started) return;
      started = true;
      if (options.mayBeSignedIn?.() === false) end(null);
      else void retry();
    },

    signIn: async (send) => {
      storage.clear();
      await send(plainApi());
      await enter();
      const { auth } = store.get();
      if (auth.status === 'signed-in') channel?.postMessage({ type: 'began', userId: auth.userId });
    },

    endSession: async (tell) => {
      running()?.coherence.close();
      try {
        const late = new Promise((resolve) => setTimeout(resolve, TELL_MS_MAX));
        await Promise.race([tell?.(plainApi()), late]);
      } finally {
        // Also when the server could not be told: what this browser holds goes in any case.
        end('signed-out');
        channel?.postMessage({ type: 'ended' });
      }
    },

    switchTenant: async (tenantId) => {
      const { auth, context } = store.get();
      if (auth.status !== 'signed-in') return;
      if (context.tenantId === tenantId) {
        if (switching === turn) calledOff();
        return;
      }
      const mine = ++turn;
      switching = mine;
      const found = await identify(plainApi(tenantId), tenantId).catch((error: unknown) => {
        if (mine === turn) calledOff();
        throw error;
      });
      if (mine !== turn) return;
      await forgetOthers(found, null);
      if (mine === turn) begin(found);
    },

    select: (selection) => {
      const { auth, context } = store.get();
      if (auth.status !== 'signed-in') return;
      store.set((state) => ({ ...state, context: { ...context, selection } }));
      storage.write({ userId: auth.userId, tenantId: context.tenantId, selection });
    },

    setUi: (change) => store.set((state) => ({ ...state, ui: { ...state.ui, ...change } })),

    close: () => {
      globalThis.removeEventListener?.('pageshow', shownAgain);
      paid();
      renewal?.close();
      channel?.close();
    },
  };
}

/** The server has judged, and will judge the same again. */
function isRefused(error: unknown): boolean {
  return isApiError(error, 401, 403);
}

/** What was chosen, without what was left open. */
function given<S extends Selection>(selection: S): Partial<S> {
  return Object.fromEntries(Object.entries(selection).filter(([, value]) => value !== null)) as Partial<S>;
}
