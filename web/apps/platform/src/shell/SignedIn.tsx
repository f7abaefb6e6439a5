import { ModalsProvider } from '@mantine/modals';
import { SessionBoundary } from '@unstale/client/react';
import { Navigate, useLocation } from 'react-router';
import { useAuth } from '../session/session';
import { Shell } from './Shell';

/** Everything below belongs to one (client, user): the boundary remounts it all when either changes. */
export function SignedIn() {
  const auth = useAuth();
  const location = useLocation();
  if (auth.status !== 'signed-in') {
    // Who signed out, in whichever tab, leaves nothing behind, not even what was searched for.
    const voluntary = auth.status === 'signed-out' && ['signed-out', 'other-tab'].includes(auth.reason ?? '');
    const path = location.pathname + location.search;
    const search = voluntary || path === '/' ? '' : `?${new URLSearchParams({ next: path })}`;
    return <Navigate to={`/sign-in${search}`} replace />;
  }
  return (
    <SessionBoundary session={auth.session}>
      <ModalsProvider>
        <Shell />
      </ModalsProvider>
    </SessionBoundary>
  );
}
