import { isRouteErrorResponse, useRouteError } from 'react-router';
import { Failure, NotFound } from '../components/states';

export function RouteFailure() {
  const error = useRouteError();
  if (isRouteErrorResponse(error) && error.status === 404) return <NotFound isPage />;
  // A chunk of an earlier release is gone after a deployment: reloading fetches the new one.
  return <Failure isPage error={error} onRetry={() => window.location.reload()} />;
}

export const UnknownAddress = () => <NotFound isPage />;
