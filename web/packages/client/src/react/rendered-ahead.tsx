import { useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';

/**
 * Around what is rendered before anybody sees it, in React's `<Activity mode="hidden">`. Effects do not run there, so its
 * queries are not told of changes, and what had been rendered would be shown once more at first. This hears of changes in
 * their place: whatever of it reads what has changed is rendered again, at the latest in the commit that shows it.
 *
 * It hides nothing by itself, and asks for nothing: what is not held is read when it is shown.
 */
interface Ahead {
  /** Another object after every change, which is what renders the readers again. */
  readonly reads: Set<string>;
}

const AheadContext = createContext<Ahead | null>(null);

interface RenderedAheadProps {
  /** From then on queries hear of changes themselves. */
  isShown: boolean;
  children: ReactNode;
}

export function RenderedAhead({ isShown, children }: RenderedAheadProps) {
  const queryClient = useQueryClient();
  const [ahead, setAhead] = useState<Ahead>(() => ({ reads: new Set() }));
  const { reads } = ahead;

  // Before anything below is rendered: React leaves what is hidden for later.
  useEffect(() => {
    if (isShown) return;
    return queryClient.getQueryCache().subscribe(({ type, query }) => {
      if (type === 'updated' && reads.has(query.queryHash)) setAhead({ reads });
    });
  }, [isShown, queryClient, reads]);

  return <AheadContext value={ahead}>{children}</AheadContext>;
}

/** Notes, if this is rendered ahead, that the component shows this query. */
export function useNotedAhead(queryHash: string): void {
  useContext(AheadContext)?.reads.add(queryHash);
}
