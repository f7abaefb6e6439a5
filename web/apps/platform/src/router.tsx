import { createBrowserRouter, Navigate, type RouteObject } from 'react-router';
import { PageLoading } from './components/states';
import { type PageName, pages } from './pages/pages';
import { Page as SignIn } from './pages/sign-in/SignIn';
import { pageAsked } from './session/vitals';
import { RequireEngagement } from './shell/RequireEngagement';
import { RouteFailure, UnknownAddress } from './shell/RouteFailure';
import { SignedIn } from './shell/SignedIn';

const page = (name: PageName) => async () => ({ Component: (await pages[name]()).Page });

const engagementPages: RouteObject[] = [
  { path: 'overview', lazy: page('overview') },
  { path: 'flows', lazy: page('flows') },
  { path: 'imports', lazy: page('imports') },
  { path: 'mappings', lazy: page('mappings') },
  { path: 'cleansing', lazy: page('latestCleansing') },
  { path: 'inventory', lazy: page('inventory') },
];

/** Pages of one thing by its id; the id decides what is shown, whichever engagement is chosen. */
const detailPages: RouteObject[] = [
  { path: 'flows/:flowId', lazy: page('flow') },
  { path: 'imports/:importId', lazy: page('import') },
  { path: 'imports/:importId/mappings', lazy: page('review') },
  { path: 'imports/:importId/cleansing', lazy: page('cleansing') },
];

const administration: RouteObject = {
  path: 'admin',
  lazy: page('administration'),
  children: [
    { index: true, element: <Navigate to="users" replace /> },
    { path: 'users', lazy: page('users') },
    { path: 'approvals', lazy: page('approvals') },
    { path: 'clients', lazy: page('clients') },
    { path: 'engagements', lazy: page('engagements') },
    { path: 'flags', lazy: page('flags') },
    { path: 'cache', lazy: page('cache') },
  ],
};

export const router = createBrowserRouter([
  { path: '/sign-in', Component: SignIn, errorElement: <RouteFailure /> },
  { path: '/request-access', lazy: page('requestAccess'), errorElement: <RouteFailure /> },
  {
    path: '/',
    element: <SignedIn />,
    errorElement: <RouteFailure />,
    hydrateFallbackElement: <PageLoading />,
    children: [
      { index: true, element: <Navigate to="/overview" replace /> },
      {
        // A page that fails leaves the frame standing, with its navigation.
        errorElement: <RouteFailure />,
        children: [
          { path: 'choose', lazy: page('choose') },
          { element: <RequireEngagement />, children: engagementPages },
          ...detailPages,
          administration,
          { path: '*', element: <UnknownAddress /> },
        ],
      },
    ],
  },
]);

// Measured from the moment a page is asked for, its code included.
router.subscribe(({ navigation }) => {
  if (navigation.state === 'loading') pageAsked();
});
