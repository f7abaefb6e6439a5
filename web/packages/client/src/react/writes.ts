import { type UseMutationResult, useMutation } from '@tanstack/react-query';
import type { ApiClient, ApiResponse } from '@unstale/client';
import type { Change, Pending } from './foretold.ts';
import { useCoherentSession } from './provider.tsx';
import { keyOf, type Read } from './reads.ts';
import type { CoherentSession } from './session.ts';

/** What the server acknowledged. */
export interface Receipt<T> {
  readonly data: T;
  readonly position: string | undefined;
  /** Resolves when everything on screen that the write concerns shows it. Never rejects: a failed read shows itself. */
  visible(): Promise<void>;
}

/**
 * What a query will show once a write is done. `update` is made of whatever the server says until then, so it may be made
 * more than once, and of what has the change already. Queries that hold nothing are left alone.
 */
export interface Foretold {
  readonly read: Read<unknown>;
  readonly update: (before: unknown) => unknown;
}

export function foretell<T>(read: Read<T>, update: (before: T) => T): Foretold {
  return { read, update: update as (before: unknown) => unknown };
}

export interface WriteDefinition<V, T> {
  send: (api: ApiClient, variables: V) => Promise<ApiResponse<T>>;
  /**
   * First parts of the keys of what this tab refreshes ahead of the pushed event. Without a live connection everything
   * counts as changed.
   */
  refreshes?: readonly (readonly unknown[])[] | ((variables: V) => readonly (readonly unknown[])[]);
  /** Shown at once, and taken back if the server refuses. */
  optimistic?: (variables: V, session: CoherentSession) => readonly Foretold[];
  /** What the answer itself says of queries. */
  answered?: (data: T, variables: V) => readonly Foretold[];
}

/** What `useWrite` returns: TanStack Query's mutation, with a receipt as its data. */
export type Write<V, T> = UseMutationResult<Receipt<T>, Error, V, Pending>;

const changesOf = (session: CoherentSession, foretold: readonly Foretold[] = []): Change[] =>
  foretold.map(({ read, update }) => ({ queryKey: keyOf(session, read), update }));

/**
 * After a write: the writer sees it at once. While live, the pushed event names exactly what changed, so only the
 * page's own queries are refreshed ahead of it; without a live connection everything counts as changed.
 */
export async function refreshAhead(
  session: CoherentSession,
  prefixes: readonly (readonly unknown[])[],
): Promise<void> {
  if (session.coherence.state !== 'live') return session.refreshAfterWrite({});
  await session.refreshAfterWrite(...prefixes.map((prefix) => ({ queryKey: [...session.scope, ...prefix] })));
}

export function useWrite<V, T>(definition: WriteDefinition<V, T>): Write<V, T> {
  const session = useCoherentSession();
  const { queryClient } = session;
  return useMutation<Receipt<T>, Error, V, Pending>({
    onMutate: (variables) =>
      session.foretell(changesOf(session, definition.optimistic?.(variables, session))),

    mutationFn: async (variables) => {
      const { data, position } = await definition.send(session.api, variables);
      let shown: Promise<void> | undefined;
      const visible = () => {
        shown ??= session
          .shown(position)
          .then(() => refreshed)
          .catch(() => {});
        return shown;
      };
      const { refreshes = [] } = definition;
      const prefixes = typeof refreshes === 'function' ? refreshes(variables) : refreshes;
      // Not awaited: the write is done when it is acknowledged; who wants to see it has the receipt.
      const refreshed = refreshAhead(session, prefixes).catch(() => {});
      return { data, position, visible };
    },

    onSuccess: ({ data, position }, variables, pending) =>
      pending.done(position, changesOf(session, definition.answered?.(data, variables))),

    onError: async (_error, _variables, pending) => {
      pending?.refused();
      // Often because somebody else has changed it.
      const queryKeys = pending?.queryKeys ?? [];
      await Promise.all(
        queryKeys.map((queryKey) => queryClient.invalidateQueries({ queryKey, exact: true })),
      );
    },
  });
}
