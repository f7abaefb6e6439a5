import { ModalsProvider } from '@mantine/modals';
import { UnstaleProvider } from '@unstale/client/react';
import { Navigate, useLocation } from 'react-router';
import { usePlatformStore } from '../session/store';
import { Shell } from './Shell';

/** Everything below belongs to one (client, user): the key remounts it all when either changes. */
export function SignedIn() {
  const auth = usePlatformStore((state) => state.auth);
  const location = useLocation();
  if (auth.status !== 'signed-in') {
    const voluntary = auth.status === 'signed-out' && auth.reason === 'signed-out';
    const path = location.pathname + location.search;
    const search = voluntary || path === '/' ? '' : `?${new URLSearchParams({ next: path })}`;
    return <Navigate to={`/sign-in${search}`} replace />;
  }
  return (
    <UnstaleProvider key={auth.session.id} session={auth.session}>
      <ModalsProvider>
        <Shell />
      </ModalsProvider>
    </UnstaleProvider>
  );
}
