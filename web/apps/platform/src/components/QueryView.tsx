import { type ReactNode, useEffect } from 'react';
import type { Shown } from '../api/queries';
import { pageShown } from '../session/vitals';
import { Failure, SkeletonRows } from './states';

interface QueryViewProps<T> {
  query: Shown<T>;
  loading?: ReactNode;
  children: (data: T) => ReactNode;
}

/** Shows a query in whichever state it is. Data once shown stays while a refetch fails in the background. */
export function QueryView<T>({ query, loading, children }: QueryViewProps<T>) {
  const shows = query.data !== undefined && !isGone(query);
  useEffect(() => {
    if (shows) pageShown();
  }, [shows]);
  if (query.data !== undefined && shows) return children(query.data);
  if (query.isError) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  return loading ?? <SkeletonRows />;
}

/** What was deleted, or closed to this user, must leave the screen although its last data is still in memory. */
function isGone({ error }: Shown<unknown>): boolean {
  return error !== null && 'status' in error && (error.status === 403 || error.status === 404);
}
