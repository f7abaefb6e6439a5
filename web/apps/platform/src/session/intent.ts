import {
  type IntentHandlers,
  useCoherentSession,
  usePrefetchOnIntent,
  type Wanted,
} from '@unstale/client/react';
import { loadPagesAt } from '../pages/routes';
import { preparing } from './preparing';
import { chosenEngagement } from './session';

/**
 * For a link or button that leads to `to`: the page's data and code are read, and the page is prepared, when somebody is about
 * to go there. `engagementId`: the one that is chosen with it, if it is another.
 */
export type OnIntentTo = (to: string, wanted: Wanted, engagementId?: string) => IntentHandlers;

export function useIntent(): OnIntentTo {
  const session = useCoherentSession();
  const onIntent = usePrefetchOnIntent();
  return (to, wanted, engagementId) =>
    onIntent(wanted, (read) =>
      preparing.when(Promise.all([read, loadPagesAt(to)]), {
        to,
        session,
        // Asked when it is pointed at, so that nobody is rendered again for another choice.
        engagementId: engagementId ?? chosenEngagement(),
      }),
    );
}
