import type { ComponentType } from 'react';
import { createBrowserRouter, Navigate, type RouteObject } from 'react-router';
import { PageLoading } from './components/states';
import { RequireEngagement } from './shell/RequireEngagement';
import { RouteFailure, UnknownAddress } from './shell/RouteFailure';
import { SignedIn } from './shell/SignedIn';

/** A page in its own chunk; its module exports the component as `Page`. */
function page(load: () => Promise<{ Page: ComponentType }>) {
  return async () => ({ Component: (await load()).Page });
}

const engagementPages: RouteObject[] = [
  { path: 'overview', lazy: page(() => import('./pages/overview/Overview')) },
  { path: 'flows', lazy: page(() => import('./pages/flows/Flows')) },
  { path: 'imports', lazy: page(() => import('./pages/imports/Imports')) },
  { path: 'mappings', lazy: page(() => import('./pages/mappings/LatestMappings')) },
  { path: 'inventory', lazy: page(() => import('./pages/assets/Inventory')) },
];

/** Pages of one thing by its id; the id decides what is shown, whichever engagement is chosen. */
const detailPages: RouteObject[] = [
  { path: 'flows/:flowId', lazy: page(() => import('./pages/flows/FlowDetail')) },
  { path: 'imports/:importId', lazy: page(() => import('./pages/imports/ImportDetail')) },
  { path: 'imports/:importId/mappings', lazy: page(() => import('./pages/mappings/MappingReview')) },
];

const administration: RouteObject = {
  path: 'admin',
  lazy: page(() => import('./pages/admin/Administration')),
  children: [
    { index: true, element: <Navigate to="users" replace /> },
    { path: 'users', lazy: page(() => import('./pages/admin/Users')) },
    { path: 'approvals', lazy: page(() => import('./pages/admin/Approvals')) },
    { path: 'clients', lazy: page(() => import('./pages/admin/Clients')) },
    { path: 'engagements', lazy: page(() => import('./pages/admin/Engagements')) },
  ],
};

export const router = createBrowserRouter([
  { path: '/sign-in', lazy: page(() => import('./pages/sign-in/SignIn')), errorElement: <RouteFailure /> },
  {
    path: '/request-access',
    lazy: page(() => import('./pages/sign-in/RequestAccess')),
    errorElement: <RouteFailure />,
  },
  {
    path: '/',
    element: <SignedIn />,
    errorElement: <RouteFailure />,
    hydrateFallbackElement: <PageLoading />,
    children: [
      { index: true, element: <Navigate to="/overview" replace /> },
      {
        errorElement: <RouteFailure />,
        children: [
          { path: 'choose', lazy: page(() => import('./pages/choose/ChooseContext')) },
          { element: <RequireEngagement />, children: engagementPages },
          ...detailPages,
          administration,
          { path: '*', element: <UnknownAddress /> },
        ],
      },
    ],
  },
]);
