import { prefetchReads, useCoherentSession } from '@unstale/client/react';
import { useEffect } from 'react';
import { Navigate, useLocation } from 'react-router';
import { useEngagements } from '../api/queries';
import { getStart } from '../api/reads';
import { PageLoading } from '../components/states';
import { needsEngagement, PAGES } from '../pages/routes';
import { useClientId, useEngagementId } from '../session/session';
import { Frames } from './Frames';
import { NAVIGATION } from './navigation';
import { usePrepared } from './usePrepared';

/** The pages of a session. Those of an engagement need one that still exists; otherwise it is chosen first. */
export function Pages() {
  const clientId = useClientId();
  const engagementId = useEngagementId();
  const { pathname } = useLocation();
  const engagements = useEngagements(clientId);
  const ahead = usePrepared();
  useReadAhead(pathname, engagementId);

  const isKnown = (of: string | null) => engagements.data?.items.some(({ id }) => id === of);
  if (needsEngagement(pathname)) {
    const choose = <Navigate to={`/choose?${new URLSearchParams({ next: pathname })}`} replace />;
    if (clientId === null || engagementId === null) return choose;
    if (engagements.isPending) return <PageLoading />;
    if (isKnown(engagementId) === false) return choose;
  }
  const keyOf = (of: string, engagementId: string | null) => {
    if (of === '/admin' || of.startsWith('/admin/')) return '/admin';
    // A page's own state, such as filters, goes with the engagement it was for.
    return needsEngagement(of) ? `${of} ${engagementId}` : of;
  };
  const mayPrepare =
    ahead !== null && (!needsEngagement(ahead.location.pathname) || isKnown(ahead.engagementId));
  return <Frames routes={PAGES} ahead={mayPrepare ? ahead : null} keyOf={keyOf} />;
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
      void prefetchReads(session, [...item.reads(engagementId), ...(isFirst ? [getStart()] : [])]);
    }
  }, [session]);
}
