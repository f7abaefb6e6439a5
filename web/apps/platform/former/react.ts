import { type UseQueryOptions, type UseQueryResult, useQuery } from '@tanstack/react-query';
import { coherentQueryOptions, type Read, type ReadOptions, useCoherentSession } from '@unstale/client/react';
import { useId } from 'react';

export * from '@unstale/client/react';

/** Whoever shows something fetches it, whoever else may show the same. */
export function useCoherentQuery<T>(read: Read<T>, options?: ReadOptions<T>): UseQueryResult<T> {
  const mine = useId();
  const plain = coherentQueryOptions(useCoherentSession(), read, options);
  return useQuery({ ...plain, queryKey: [...plain.queryKey, mine] } as UseQueryOptions<T>);
}
