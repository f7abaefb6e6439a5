import { hashKey, type InvalidateQueryFilters, type QueryClient, type QueryKey } from '@tanstack/react-query';
import {
  type ApiClient,
  type ApiClientOptions,
  Coherence,
  createApiClient,
  type LiveConnectionOptions,
  LocalClock,
  type QueryParams,
} from '@unstale/client';
import { createQueryClient } from './query-client.ts';

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
  readonly api: ApiClient;
  readonly queryClient: QueryClient;
  readonly coherence: Coherence;
  /** `queryFn` body for a coherent read; the query's groups are noted on the way. */
  read<T>(
    context: { queryKey: QueryKey; signal: AbortSignal },
    path: string,
    query?: QueryParams,
  ): Promise<T>;
  /** After a write: marks `filters` stale, except what was already read at the write's position. */
  refreshAfterWrite(filters: InvalidateQueryFilters): Promise<void>;
  dispose(): void;
}

export interface CoherentSessionOptions {
  /** First parts of every query key, such as [tenant id, user id]. */
  scope: readonly string[];
  api: Omit<ApiClientOptions, 'clock'>;
  live: Omit<LiveConnectionOptions, 'listener'>;
  onRevoked?: () => void;
  greetingWaitMs?: number;
}

let sessions = 0;

export function createCoherentSession(options: CoherentSessionOptions): CoherentSession {
  const clock = new LocalClock();
  const api = createApiClient({ ...options.api, clock });
  const queryClient = createQueryClient({ isDegraded: () => coherence.state === 'degraded' });
  const coherence = new Coherence({
    api,
    clock,
    live: options.live,
    sink: {
      markStale: (queries) =>
        void queryClient.invalidateQueries({
          predicate: (query) => queries.has(query.queryHash),
          refetchType: 'active',
        }),
      markAllStale: () => void queryClient.invalidateQueries({ refetchType: 'active' }),
    },
    ...(options.onRevoked ? { onRevoked: options.onRevoked } : {}),
    ...(options.greetingWaitMs === undefined ? {} : { greetingWaitMs: options.greetingWaitMs }),
  });
  const unsubscribe = queryClient.getQueryCache().subscribe((event) => {
    if (event.type === 'removed') coherence.release(event.query.queryHash);
  });

  return {
    id: ++sessions,
    scope: options.scope,
    api,
    queryClient,
    coherence,
    read: (context, path, query) =>
      coherence.read(hashKey(context.queryKey), path, {
        signal: context.signal,
        ...(query ? { query } : {}),
      }),
    refreshAfterWrite: (filters) => {
      const position = api.positionFor();
      return queryClient.invalidateQueries({
        ...filters,
        refetchType: 'active',
        predicate: (query) =>
          !coherence.hasSeen(query.queryHash, position) && (filters.predicate?.(query) ?? true),
      });
    },
    dispose: () => {
      unsubscribe();
      coherence.close();
      void queryClient.cancelQueries();
      queryClient.clear();
    },
  };
}
