import { RenderedAhead } from '@unstale/client/react';
import { Activity, Component, type ReactNode, Suspense } from 'react';
import { type Location, type RouteObject, useLocation, useRoutes } from 'react-router';
import { PageLoading } from '../components/states';
import { EngagementOfPage } from '../session/engagement';
import { useEngagementId } from '../session/session';
import type { Ahead } from './usePrepared';

/**
 * The page on screen and, behind it, the one that somebody is about to go to: rendered, hidden, its effects not yet run.
 * Going there shows it as it is, state and all, because it keeps its key.
 *
 * Invariants: the first frame is the one on screen; what is behind hears of changes (`RenderedAhead`), and takes nothing down
 * with it when it fails.
 */
interface FramesProps {
  routes: RouteObject[];
  /** What is prepared, if anything. */
  ahead: Ahead | null;
  /**
   * Addresses of one key share a page, which stays while they change. Undefined for what is shown somewhere else.
   * `engagementId`: the one that is chosen when it is shown.
   */
  keyOf: (pathname: string, engagementId: string | null) => string | undefined;
}

export function Frames({ routes, ahead, keyOf }: FramesProps) {
  const location = useLocation();
  const engagementId = useEngagementId();
  const shown = keyOf(location.pathname, engagementId) ?? location.pathname;
  const next = ahead ? keyOf(ahead.location.pathname, ahead.engagementId) : undefined;
  return (
    <>
      <Frame key={shown} isShown routes={routes} location={location} engagementId={engagementId} />
      {ahead && next !== undefined && next !== shown && (
        <Frame key={next} isShown={false} routes={routes} {...ahead} />
      )}
    </>
  );
}

interface FrameProps {
  isShown: boolean;
  routes: RouteObject[];
  location: Location;
  engagementId: string | null;
}

function Frame({ isShown, routes, location, engagementId }: FrameProps) {
  return (
    <RenderedAhead isShown={isShown}>
      <Activity mode={isShown ? 'visible' : 'hidden'}>
        <FrameBoundary isShown={isShown}>
          <Suspense fallback={<PageLoading />}>
            <EngagementOfPage value={engagementId}>
              <Routed routes={routes} location={location} />
            </EngagementOfPage>
          </Suspense>
        </FrameBoundary>
      </Activity>
    </RenderedAhead>
  );
}

function Routed({ routes, location }: Pick<FrameProps, 'routes' | 'location'>) {
  return useRoutes(routes, location);
}

interface BoundaryProps {
  isShown: boolean;
  children: ReactNode;
}

interface BoundaryState {
  isShown: boolean;
  failure: { error: unknown } | null;
}

/** What fails on screen is the router's to show. What fails behind it is left away, and tried again when it is shown. */
class FrameBoundary extends Component<BoundaryProps, BoundaryState> {
  override state: BoundaryState = { isShown: this.props.isShown, failure: null };

  static getDerivedStateFromError(error: unknown): Partial<BoundaryState> {
    return { failure: { error } };
  }

  static getDerivedStateFromProps({ isShown }: BoundaryProps, before: BoundaryState): BoundaryState | null {
    return isShown === before.isShown ? null : { isShown, failure: null };
  }

  override render(): ReactNode {
    const { isShown, failure } = this.state;
    if (failure === null) return this.props.children;
    if (isShown) throw failure.error;
    return null;
  }
}
