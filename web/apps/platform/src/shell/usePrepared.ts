import { useCoherentSession, useStore } from '@unstale/client/react';
import { useEffect, useMemo } from 'react';
import { type Location, parsePath, useLocation } from 'react-router';
import { preparing } from '../session/preparing';
import { useEngagementId } from '../session/session';

/** Where somebody is about to go in this session. Going anywhere, or choosing another engagement, ends it. */
export function usePrepared(): Location | null {
  const session = useCoherentSession();
  const engagementId = useEngagementId();
  const { pathname } = useLocation();
  const to = useStore(preparing.store, (prepared) => (prepared?.session === session ? prepared.to : null));

  // biome-ignore lint/correctness/useExhaustiveDependencies: each of them is a reason
  useEffect(() => () => preparing.drop(), [session, engagementId, pathname]);

  return useMemo(
    () =>
      to === null
        ? null
        : {
            pathname: '/',
            search: '',
            hash: '',
            state: null,
            key: 'ahead',
            ...parsePath(to),
          },
    [to],
  );
}
