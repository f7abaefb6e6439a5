import { Navigate, Outlet, useLocation } from 'react-router';
import { useEngagements } from '../api/queries';
import { PageLoading } from '../components/states';
import { useClientId, useEngagementId } from '../session/session';

/** Pages of an engagement need one that still exists; otherwise it is chosen first. */
export function RequireEngagement() {
  const clientId = useClientId();
  const engagementId = useEngagementId();
  const location = useLocation();
  const engagements = useEngagements(clientId);
  const choose = <Navigate to={`/choose?${new URLSearchParams({ next: location.pathname })}`} replace />;

  if (clientId === null || engagementId === null) return choose;
  if (engagements.isPending) return <PageLoading />;
  if (engagements.data && !engagements.data.items.some(({ id }) => id === engagementId)) return choose;
  // The key drops a page's own state, such as filters, with the engagement it was for.
  return <Outlet key={engagementId} />;
}
