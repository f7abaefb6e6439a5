import type { UseQueryResult } from '@tanstack/react-query';
import type { ClientSummary, ContextMe, Engagement, Items } from '../src/api/types';
import { useEverything } from './everything';

export * from '../src/api/queries';

/** What the providers hold, in the form in which pages expect a query. */
function held<T>(data: T | undefined): UseQueryResult<T> {
  const shown = { data, isPending: data === undefined, isError: false, error: null };
  return shown as unknown as UseQueryResult<T>;
}

export const useUserContext = (): UseQueryResult<ContextMe> => held(useEverything().me);
export const useClients = (): UseQueryResult<Items<ClientSummary>> => held(useEverything().clients);
export const useEngagements = (_clientId: string | null): UseQueryResult<Items<Engagement>> =>
  held(useEverything().engagements);
