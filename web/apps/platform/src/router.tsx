import { createBrowserRouter, Navigate, type RouteObject } from 'react-router';
import { PageLoading } from './components/states';
import { loadPage, PageOf } from './pages/pages';
import { loadPagesAt } from './pages/routes';
import { Page as SignIn } from './pages/sign-in/SignIn';
import { pageAsked } from './session/vitals';
import { Pages } from './shell/Pages';
import { RouteFailure } from './shell/RouteFailure';
import { SignedIn } from './shell/SignedIn';

/** Which of them is shown is for `Pages` to say, which may have it prepared; here their code is waited for. */
const pagesOfSession: RouteObject = {
  path: '*',
  element: <Pages />,
  // A page that fails leaves the frame standing, with its navigation.
  errorElement: <RouteFailure />,
  loader: async ({ request }) => {
    await loadPagesAt(new URL(request.url).pathname);
    return null;
  },
  // Filters and the like are no other page.
  shouldRevalidate: ({ currentUrl, nextUrl }) => currentUrl.pathname !== nextUrl.pathname,
};

export const router = createBrowserRouter([
  { path: '/sign-in', Component: SignIn, errorElement: <RouteFailure /> },
  {
    path: '/request-access',
    element: <PageOf name="requestAccess" />,
    loader: () => loadPage('requestAccess').then(() => null),
    errorElement: <RouteFailure />,
  },
  {
    path: '/',
    element: <SignedIn />,
    errorElement: <RouteFailure />,
    hydrateFallbackElement: <PageLoading />,
    children: [{ index: true, element: <Navigate to="/overview" replace /> }, pagesOfSession],
  },
]);

// Measured from the moment a page is asked for, its code included.
router.subscribe(({ navigation }) => {
  if (navigation.state === 'loading') pageAsked();
});
