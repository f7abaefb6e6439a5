import {
  hashKey,
  type InvalidateQueryFilters,
  type Query,
  type QueryClient,
  type QueryFunctionContext,
  type QueryKey,
} from '@tanstack/react-query';
import {
  type ApiClient,
  type ApiClientOptions,
  type ApiResponse,
  Coherence,
  createApiClient,
  type InvalidationEvent,
  isApiError,
  type Known,
  LocalClock,
  type QueryParams,
} from '@unstale/client';
import { type LiveOptions, openLive } from '@unstale/client/live';
import { type Activity, createActivity } from './activity.ts';
import { createBursts } from './bursts.ts';
import { type Change, createForetelling, type Pending } from './foretold.ts';
import { createPlainQueryClient, createQueryClient, sealQueryClient } from './query-client.ts';

/**
 * Everything that belongs to one (tenant, user): API client, query client, live connection.
 *
 * It is made and disposed outside React, so that StrictMode's double rendering cannot open a second socket,
 * and a change of tenant replaces the whole of it: no data of the old tenant stays reachable.
 */
export interface CoherentSession {
  /** Different for every session, also for two of the same tenant and user: the `key` of their tree. */
  readonly id: number;
  readonly scope: readonly string[];
  /** Whether answers are kept at all: not in the mode `plain`. */
  readonly keeps: boolean;
  readonly api: ApiClient;
  readonly queryClient: QueryClient;
  readonly coherence: Coherence;
  /** What happened, for the devtools panel. */
  readonly activity: Activity;
  /** `queryFn` body for a coherent read; the query's groups are noted on the way. */
  read<T>(context: ReadContext, path: string, query?: QueryParams, options?: ReadSettings): Promise<T>;
  /** Takes over an answer that was read before the session began. */
  adopt(queryKey: QueryKey, path: string, query: QueryParams | undefined, answer: ApiResponse<unknown>): void;
  /** After a write: marks what any of `filters` means stale, except what was already read at the write's position. */
  refreshAfterWrite(...filters: InvalidateQueryFilters[]): Promise<void>;
  /** Shows what a write will change, until it is done or refused. */
  foretell(changes: readonly Change[]): Pending;
  /** Resolves when the event of `position` was heard and what it concerns on screen was read again. */
  shown(position: string | undefined): Promise<void>;
  dispose(): void;
}

/** What a `queryFn` is given, as far as a read needs it. */
export type ReadContext = Pick<QueryFunctionContext<QueryKey>, 'queryKey' | 'signal'>;

export interface ReadSettings {
  /** `false` for a read that is not to wait for others of its batch. */
  batch?: boolean | undefined;
}

/** Last known answers, for when the server cannot be reached. */
export interface LastKnown {
  keep(query: string, data: unknown): void;
  recall(query: string): Promise<{ data: unknown; at: number } | undefined>;
}

export interface CoherentSessionOptions {
  /** First parts of every query key, such as [tenant id, user id]. */
  scope: readonly string[];
  api: Omit<ApiClientOptions, 'clock' | 'watch'>;
  /** Without it the session lives by stale times alone. */
  live?: LiveOptions | undefined;
  onRevoked?: (() => void) | undefined;
  /** Hears every live event, such as that of a flag that was switched. */
  onEvent?: ((event: InvalidationEvent) => void) | undefined;
  /**
   * Hears that it cannot be known what was missed, also of the first connection. Whoever lives by events besides the
   * queries asks again for what they are about: until then the server may not even tell this session of it.
   */
  onResync?: (() => void) | undefined;
  lastKnown?: LastKnown | undefined;
  /** `plain`: nothing is kept, deduplicated over time, or pushed: the way back if the coherent one is in doubt. */
  mode?: 'coherent' | 'plain' | undefined;
  greetingWaitMs?: number | undefined;
  /** What a burst of events concerns is read again at most so often. */
  rereadEveryMs?: number | undefined;
}

/** How long a receipt waits for the event of its write. */
const EVENT_WAIT_MS = 1_000;
/** How often a receipt waits on for a query that was begun anew while it waited. */
const REREADS_MAX = 3;

let sessions = 0;

export function createCoherentSession(options: CoherentSessionOptions): CoherentSession {
  const { scope, live, lastKnown, onRevoked, greetingWaitMs, mode = 'coherent' } = options;
  const plain = mode === 'plain';
  const clock = new LocalClock();
  const activity = createActivity();
  const { watch } = activity;
  const api = createApiClient({ ...options.api, ...(plain ? { batch: false } : {}), clock, watch });
  const queryClient = plain
    ? createPlainQueryClient()
    : createQueryClient({
        isDegraded: () => coherence.state === 'degraded',
        readsOffline: lastKnown !== undefined,
      });
  /** Who waits for an event; looks again whenever something was heard. */
  const waiting = new Set<() => void>();
  const lookAgain = () => {
    for (const look of waiting) look();
  };

  /** Resolves when all was heard that is told of a write, or after a while: it may concern nothing that this browser holds. */
  function heard(position: string): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        waiting.delete(look);
        resolve();
      };
      const look = () => coherence.hasHeard(position) && done();
      const timer = setTimeout(done, EVENT_WAIT_MS);
      waiting.add(look);
      look();
    });
  }

  /**
   * What is known to be wrong, and not read anew for who shows it, is not shown. The query stays, and with it what is known
   * of its groups: its next read must have seen the change.
   */
  function forget(isWrong: (query: Query) => boolean): void {
    for (const query of queryClient.getQueryCache().getAll()) {
      if (query.isActive() || !isWrong(query)) continue;
      query.setState({ ...query.state, data: undefined, dataUpdatedAt: 0, error: null, status: 'pending' });
    }
  }

  // Marked at once, so that whoever is shown meanwhile reads anew; those on screen are read together.
  const rereads = createBursts((queries) => {
    const predicate = (query: Query) => queries.has(query.queryHash) && query.state.isInvalidated;
    return queryClient.refetchQueries({ type: 'active', predicate });
  }, options.rereadEveryMs);

  function markStale(queries: ReadonlySet<string>, rereadAfterMs = 0): void {
    const predicate = (query: Query) => queries.has(query.queryHash);
    forget(predicate);
    void queryClient.invalidateQueries({ predicate, refetchType: 'none' });
    rereads.add(queries, rereadAfterMs);
  }

  /**
   * TanStack Query drops its mark with whatever is put in the place of what it marked: an answer, somebody's change, or what
   * was there before a read that was called off. And what was marked for who asks for it, nobody may ask for any more. So what
   * is there is judged by itself.
   */
  function judge(query: Query): void {
    if (query.state.data === undefined || !coherence.isOvertaken(query.queryHash)) return;
    // Once the query is done with what it is at, and whoever only changes places (StrictMode) is back.
    queueMicrotask(() => {
      const isMarked = query.state.isInvalidated && query.isActive();
      if (!isMarked) markStale(new Set([query.queryHash]));
    });
  }

  const coherence = new Coherence({
    api,
    clock,
    watch,
    live: live && !plain ? openLive(live) : undefined,
    sink: {
      markStale,
      markAllStale: () => {
        forget(() => true);
        void queryClient.invalidateQueries({ refetchType: 'active' });
        lookAgain();
        options.onResync?.();
      },
    },
    onEvent: (event) => {
      lookAgain();
      options.onEvent?.(event);
    },
    onRevoked,
    greetingWaitMs,
  });

  // By the very object that the query client keeps: data that was changed on the way (foretold, rolled back) has no
  // validator, so it is never taken for what the server last said.
  const validators = new WeakMap<object, Known>();
  const arrived = new Map<string, Known>();
  /** Queries whose data is not the server's, but what was last known of it, and at what time. */
  const recalled = new Map<string, number>();
  const tellLastKnown = () =>
    activity.showsLastKnown(recalled.size > 0 ? Math.min(...recalled.values()) : null);
  /** It was shown for want of better: as soon as the server is heard again, what is on screen is read. */
  const rereadRecalled = () => rereads.add(new Set(recalled.keys()));
  const stopWatching = coherence.subscribe(() => {
    lookAgain();
    if (coherence.state === 'live') rereadRecalled();
  });
  const foretelling = createForetelling(queryClient, (query, position) => coherence.holds(query, position));
  const unsubscribe = queryClient.getQueryCache().subscribe((event) => {
    const { queryHash } = event.query;
    if (event.type === 'removed') {
      coherence.release(queryHash);
      arrived.delete(queryHash);
      if (recalled.delete(queryHash)) tellLastKnown();
    } else if (event.type === 'updated') {
      const { type } = event.action;
      if (type === 'success' && !event.action.manual) arrive(event.query);
      else if (type === 'success' || type === 'setState') judge(event.query);
    } else if (event.type.startsWith('observer') && !event.query.isActive()) judge(event.query);
    foretelling.heard(event);
  });

  function arrive(query: Query): void {
    const { queryHash, queryKey, state } = query;
    const known = arrived.get(queryHash);
    arrived.delete(queryHash);
    if (known && typeof state.data === 'object' && state.data !== null) validators.set(state.data, known);
    if (recalled.has(queryHash)) {
      // Whoever shows it again is to ask again.
      queueMicrotask(
        () => void queryClient.invalidateQueries({ queryKey, exact: true, refetchType: 'none' }),
      );
      return;
    }
    coherence.stored(queryHash);
    judge(query);
    if (state.data !== undefined) lastKnown?.keep(queryHash, state.data);
  }

  async function read<T>(
    { queryKey, signal }: ReadContext,
    path: string,
    query?: QueryParams,
    settings: ReadSettings = {},
  ): Promise<T> {
    const hash = hashKey(queryKey);
    const held = queryClient.getQueryCache().get(hash)?.state.data;
    const known = typeof held === 'object' && held !== null && !plain ? validators.get(held) : undefined;
    try {
      const answer = await coherence.load<T>(hash, path, { ...settings, query, signal, known });
      if (answer.validator) arrived.set(hash, answer.validator);
      else arrived.delete(hash);
      if (recalled.delete(hash)) tellLastKnown();
      rereadRecalled();
      return answer.notModified ? (held as T) : answer.data;
    } catch (error) {
      if (!isApiError(error, 0)) throw error;
      const last = await lastKnown?.recall(hash);
      if (!last || signal.aborted) throw error;
      recalled.set(hash, last.at);
      tellLastKnown();
      return last.data as T;
    }
  }

  const fetching = () => queryClient.getQueryCache().findAll({ type: 'active', fetchStatus: 'fetching' });

  return {
    id: ++sessions,
    scope,
    keeps: !plain,
    api,
    queryClient,
    coherence,
    activity,
    read,
    adopt: (queryKey, path, query, answer) => {
      const known = coherence.adopt(hashKey(queryKey), path, query, answer);
      const data = queryClient.setQueryData(queryKey, answer.data);
      if (known && typeof data === 'object' && data !== null) validators.set(data, known);
    },
    refreshAfterWrite: async (...filters) => {
      const position = api.positionFor();
      // Its event may have come before its answer, and have been taken for somebody else's.
      rereads.hurry();
      const refreshed = filters.map((filter) =>
        queryClient.invalidateQueries({
          ...filter,
          refetchType: 'active',
          predicate: (query) =>
            !coherence.hasSeen(query.queryHash, position) && (filter.predicate?.(query) ?? true),
        }),
      );
      await Promise.all(refreshed);
    },
    foretell: foretelling.begin,
    shown: async (position) => {
      if (position && coherence.state === 'live') await heard(position);
      await rereads.begun();
      let queries = fetching();
      for (let round = 0; round < REREADS_MAX && queries.length > 0; round += 1) {
        await Promise.allSettled(queries.map((query) => query.promise));
        queries = queries.filter(({ state }) => state.fetchStatus === 'fetching');
      }
    },
    dispose: () => {
      unsubscribe();
      stopWatching();
      rereads.close();
      coherence.close();
      api.close();
      foretelling.close();
      sealQueryClient(queryClient);
      arrived.clear();
      activity.clear();
    },
  };
}
