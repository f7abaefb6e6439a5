import {
  type IntentHandlers,
  useCoherentSession,
  usePrefetchOnIntent,
  type Wanted,
} from '@unstale/client/react';
import { loadPagesAt } from '../pages/routes';
import { preparing } from './preparing';

/** For a link or button that leads to `to`: the page's data and code are read, and the page is prepared, when somebody is about to go there. */
export type OnIntentTo = (to: string, wanted: Wanted) => IntentHandlers;

export function useIntent(): OnIntentTo {
  const session = useCoherentSession();
  const onIntent = usePrefetchOnIntent();
  return (to, wanted) =>
    onIntent(wanted, (read) => preparing.when(Promise.all([read, loadPagesAt(to)]), to, session));
}
