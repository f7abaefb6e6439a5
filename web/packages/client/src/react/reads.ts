import {
  type DataTag,
  hashKey,
  type QueryFunction,
  type QueryKey,
  queryOptions,
  type UseQueryOptions,
  type UseQueryResult,
  useQuery,
} from '@tanstack/react-query';
import type { ApiResponse, QueryParams } from '@unstale/client';
import { useCallback, useEffect, useSyncExternalStore } from 'react';
import { useCoherentSession } from './provider.tsx';
import { useNotedAhead } from './rendered-ahead.tsx';
import type { CoherentSession } from './session.ts';

/**
 * What can be read, as values: an address with its parameters, typed by what it answers. `Reads` are generated from an
 * OpenAPI document or written by hand; keys, `queryFn` and groups follow from them.
 */
export interface Read<T> {
  readonly path: string;
  readonly query: QueryParams | undefined;
  /** The query key, behind the session's scope: the path's segments, then the query if there is one. */
  readonly key: readonly unknown[];
  readonly batch: boolean | undefined;
  /** Only for the type checker. */
  readonly answers?: T;
}

export interface ReadDefinition {
  /** Names of the parameters that go into the query. */
  query?: readonly string[];
  /** `false` for answers that are large or slow, which a batch is not to wait for. */
  batch?: boolean;
}

type Params = Readonly<Record<string, string | number | boolean | null | undefined>>;

type NoParams = Record<never, never>;

/** `defineRead<Flow, { flow_id: string }>('/flows/{flow_id}')` is a function from parameters to a `Read<Flow>`. */
export function defineRead<T, P extends object = NoParams>(
  template: string,
  { query: names = [], batch }: ReadDefinition = {},
): (...params: keyof P extends never ? [] : [params: P]) => Read<T> {
  return (...[params]) => {
    const given = (params ?? {}) as Params;
    const segments = template
      .split('/')
      .filter((segment) => segment !== '')
      .map((segment) => (segment.startsWith('{') ? String(given[segment.slice(1, -1)] ?? '') : segment));
    const asked = names.filter((name) => given[name] !== undefined && given[name] !== null);
    const query = asked.length > 0 ? Object.fromEntries(asked.map((name) => [name, given[name]])) : undefined;
    return {
      path: `/${segments.map(encodeURIComponent).join('/')}`,
      query,
      key: query ? [...segments, query] : segments,
      batch,
    };
  };
}

export type ReadOptions<T> = Partial<
  Pick<
    UseQueryOptions<T>,
    'enabled' | 'staleTime' | 'gcTime' | 'refetchInterval' | 'placeholderData' | 'select' | 'throwOnError'
  >
>;

/** What is exported names types of TanStack Query's own package only: what that is made of, a project need not find. */
export type CoherentQueryOptions<T> = Omit<UseQueryOptions<T>, 'queryFn' | 'queryKey'> & {
  queryFn?: QueryFunction<T, QueryKey, never>;
  queryKey: DataTag<QueryKey, T, Error>;
};

export const keyOf = (session: CoherentSession, read: Read<unknown>): QueryKey => [
  ...session.scope,
  ...read.key,
];

/** Gives a session what was read before it began, such as who is signed in. */
export function adopt<T>(session: CoherentSession, read: Read<T>, answer: ApiResponse<T>): void {
  session.adopt(keyOf(session, read), read.path, read.query, answer);
}

/** TanStack Query's options for a read of this session, to use with any of its functions and hooks. */
export function coherentQueryOptions<T>(
  session: CoherentSession,
  read: Read<T>,
  options: ReadOptions<T> = {},
): CoherentQueryOptions<T> {
  const { staleTime: _stale, gcTime: _kept, ...without } = options;
  return queryOptions<T>({
    // Times for which an answer may be kept mean nothing to a session that keeps none.
    ...(session.keeps ? options : without),
    queryKey: keyOf(session, read),
    queryFn: (context) => session.read<T>(context, read.path, read.query, { batch: read.batch }),
  });
}

export function useCoherentQuery<T>(read: Read<T>, options?: ReadOptions<T>): UseQueryResult<T> {
  const session = useCoherentSession();
  const all = coherentQueryOptions(session, read, options);
  useNotedAhead(hashKey(all.queryKey));
  // After every render that was shown: what React began and gave up, or did ahead, is not counted.
  useEffect(() => session.activity.rendered());
  return useQuery(all);
}

/**
 * What is held of a read now, if anything: for what is rendered ahead. It neither asks for it nor keeps it, so what is known to
 * be wrong goes, as it does where nobody looks.
 */
export function useHeld<T>(read: Read<T> | null): T | undefined {
  const session = useCoherentSession();
  const { queryClient } = session;
  const subscribe = useCallback(
    (listener: () => void) => queryClient.getQueryCache().subscribe(listener),
    [queryClient],
  );
  return useSyncExternalStore(subscribe, () =>
    read === null ? undefined : queryClient.getQueryData<T>(keyOf(session, read)),
  );
}

/** Handlers for a link or button: what it leads to is read when somebody is about to follow it. */
export interface IntentHandlers {
  onMouseMove: (event: { currentTarget: object; movementX: number; movementY: number }) => void;
  onMouseLeave: (event: { currentTarget: object }) => void;
  onFocus: () => void;
  onTouchStart: () => void;
}

/** What is held of a read now, if anything. */
export type Held = <T>(read: Read<T>) => T | undefined;

/** Reads, or what makes them of what is held: some lead to others. */
export type Wanted = readonly Read<unknown>[] | ((held: Held) => readonly Read<unknown>[]);

/** `also` is for what else it leads to, such as the page's code; `read` resolves when all that is wanted has been asked for. */
export type OnIntent = (wanted: Wanted, also?: (read: Promise<void>) => void) => IntentHandlers;

const pointedAt = new WeakSet<object>();

export function usePrefetchOnIntent(): OnIntent {
  const session = useCoherentSession();
  return useCallback<OnIntent>(
    (wanted, also) => {
      const prefetch = () => {
        const read = prefetchReads(session, wanted);
        also?.(read);
      };
      return {
        // Once for each time that it is pointed at. What comes to lie under a pointer that rests, as the page changes, is nothing
        // that anybody pointed at; only moves, and not what they enter, are told with how far they went.
        onMouseMove: ({ currentTarget, movementX, movementY }) => {
          if ((movementX === 0 && movementY === 0) || pointedAt.has(currentTarget)) return;
          pointedAt.add(currentTarget);
          prefetch();
        },
        onMouseLeave: ({ currentTarget }) => void pointedAt.delete(currentTarget),
        onFocus: prefetch,
        onTouchStart: prefetch,
      };
    },
    [session],
  );
}

/**
 * Reads what is not there or stale. Does nothing for who asked their browser to save data. Resolves when that is done, and
 * does not tell of what failed: whoever shows it will.
 */
export async function prefetchReads(session: CoherentSession, wanted: Wanted): Promise<void> {
  const { connection } = globalThis.navigator as Navigator & { connection?: { saveData?: boolean } };
  if (connection?.saveData || session.coherence.state === 'degraded') return;
  const held: Held = <T>(read: Read<T>) => session.queryClient.getQueryData<T>(keyOf(session, read));
  const reads = typeof wanted === 'function' ? wanted(held) : wanted;
  await Promise.all(
    reads.map((read) => session.queryClient.prefetchQuery(coherentQueryOptions(session, read))),
  );
}
