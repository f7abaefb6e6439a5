import { useCoherentSession, useStore } from '@unstale/client/react';
import { useEffect, useMemo } from 'react';
import { type Location, parsePath, useLocation } from 'react-router';
import { preparing } from '../session/preparing';
import { useEngagementId } from '../session/session';

export interface Ahead {
  readonly location: Location;
  readonly engagementId: string | null;
}

/** Where somebody is about to go in this session. Going anywhere, or choosing another engagement than its, ends it. */
export function usePrepared(): Ahead | null {
  const session = useCoherentSession();
  const engagementId = useEngagementId();
  const { pathname } = useLocation();
  const prepared = useStore(preparing.store, (all) => (all?.session === session ? all : null));

  // biome-ignore lint/correctness/useExhaustiveDependencies: each of them is a reason
  useEffect(() => () => preparing.drop(), [session, pathname]);
  useEffect(() => preparing.keepFor(engagementId), [engagementId]);

  return useMemo(() => {
    if (prepared === null) return null;
    const location = {
      pathname: '/',
      search: '',
      hash: '',
      state: null,
      key: 'ahead',
      ...parsePath(prepared.to),
    };
    return { location, engagementId: prepared.engagementId };
  }, [prepared]);
}
