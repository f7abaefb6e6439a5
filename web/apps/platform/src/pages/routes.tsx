import { matchRoutes, Navigate, parsePath, type RouteObject } from 'react-router';
import { UnknownAddress } from '../shell/RouteFailure';
import { loadPage, type PageName, PageOf } from './pages';

/** Which page is at which address, once somebody is signed in. */
const at = (path: string, name: PageName): RouteObject => ({
  path,
  handle: name,
  element: <PageOf name={name} />,
});

const unknown: RouteObject = { path: '*', element: <UnknownAddress /> };

const ofEngagement: RouteObject[] = [
  at('/overview', 'overview'),
  at('/flows', 'flows'),
  at('/imports', 'imports'),
  at('/mappings', 'mappings'),
  at('/cleansing', 'latestCleansing'),
  at('/inventory', 'inventory'),
];

/** Pages of one thing by its id; the id decides what is shown, whichever engagement is chosen. */
const ofOneThing: RouteObject[] = [
  at('/flows/:flowId', 'flow'),
  at('/imports/:importId', 'import'),
  at('/imports/:importId/mappings', 'review'),
  at('/imports/:importId/cleansing', 'cleansing'),
];

/** Within the page of the administration, which stays while they change. */
export const TABS: RouteObject[] = [
  { index: true, element: <Navigate to="users" replace /> },
  at('users', 'users'),
  at('approvals', 'approvals'),
  at('clients', 'clients'),
  at('engagements', 'engagements'),
  at('flags', 'flags'),
  at('cache', 'cache'),
  unknown,
];

export const PAGES: RouteObject[] = [
  at('/choose', 'choose'),
  ...ofEngagement,
  ...ofOneThing,
  at('/admin/*', 'administration'),
  unknown,
];

const CODE: RouteObject[] = [...PAGES, { path: '/admin', handle: 'administration', children: TABS }];

/** Pages that need an engagement to work on. */
export const needsEngagement = (pathname: string): boolean => matchRoutes(ofEngagement, pathname) !== null;

/** The code of what is shown at an address. */
export async function loadPagesAt(to: string): Promise<void> {
  const matches = matchRoutes(CODE, parsePath(to).pathname ?? '/') ?? [];
  const names = matches.flatMap(({ route }) =>
    route.handle === undefined ? [] : [route.handle as PageName],
  );
  await Promise.all(names.map(loadPage));
}
