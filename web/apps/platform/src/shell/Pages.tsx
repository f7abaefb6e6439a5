import { prefetchReads, useCoherentSession } from '@unstale/client/react';
import { useEffect } from 'react';
import { Navigate, Outlet, useLocation } from 'react-router';
import { useEngagements } from '../api/queries';
import { getStart } from '../api/reads';
import { PageLoading } from '../components/states';
import { useClientId, useEngagementId } from '../session/session';
import { NAVIGATION } from './navigation';

/** Pages of an engagement need one that still exists; otherwise it is chosen first. */
export function RequireEngagement() {
  const clientId = useClientId();
  const engagementId = useEngagementId();
  const location = useLocation();
  const engagements = useEngagements(clientId);
  useReadAhead(location.pathname, engagementId);
  const choose = <Navigate to={`/choose?${new URLSearchParams({ next: location.pathname })}`} replace />;

  if (clientId === null || engagementId === null) return choose;
  if (engagements.isPending) return <PageLoading />;
  if (engagements.data && !engagements.data.items.some(({ id }) => id === engagementId)) return choose;
  // The key drops a page's own state, such as filters, with the engagement it was for.
  return <Outlet key={engagementId} />;
}

/**
 * What the first page of a session begins with is read beside what tells whether it may be shown; and where its user
 * starts, so that a choice which is remembered already need not be written again.
 */
function useReadAhead(pathname: string, engagementId: string | null): void {
  const session = useCoherentSession();
  // biome-ignore lint/correctness/useExhaustiveDependencies: later pages are read when somebody is about to go there
  useEffect(() => {
    const item = NAVIGATION.find(({ to }) => to === pathname);
    if (item && engagementId !== null) {
      const isFirst = session.activity.counters.reads === 0;
      prefetchReads(session, [...item.reads(engagementId), ...(isFirst ? [getStart()] : [])]);
    }
  }, [session]);
}
