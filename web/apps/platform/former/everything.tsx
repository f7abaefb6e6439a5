import { useStore } from '@unstale/client/react';
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';
import type { ClientSummary, ContextMe, Engagement, Items, UserDefaults } from '../src/api/types';
import { API_BASE, unstale } from '../src/session/session';

/**
 * Three providers, each with what it fetches for itself, and one context that holds all of it.
 *
 * - auth: who is signed in (`/context/me`, by the life of the session);
 * - context: client and engagement (`/context/me` once more), the clients and the engagements to choose from;
 * - ui: what the user chose last (`/users/{id}/defaults`), and whether the navigation is open.
 *
 * They fetch when the session begins and when another client or engagement is chosen, and not in between.
 */
type AuthState = ReturnType<typeof unstale.store.get>['auth'];

export interface Everything {
  auth: AuthState;
  clientId: string | null;
  engagementId: string | null;
  me: ContextMe | undefined;
  clients: Items<ClientSummary> | undefined;
  engagements: Items<Engagement> | undefined;
  defaults: UserDefaults | undefined;
  navigationOpen: boolean;
}

const EverythingContext = createContext<Everything | null>(null);

export function useEverything(): Everything {
  const everything = useContext(EverythingContext);
  if (!everything) throw new Error('useEverything needs the <FormerProviders> above it');
  return everything;
}

/** Fetches when `path` changes; without one there is nothing to fetch. */
function useFetched<T>(path: string | null, clientId: string | null, again: unknown): T | undefined {
  const [answer, setAnswer] = useState<{ path: string; data: T }>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: `again` is what makes it fetch again
  useEffect(() => {
    if (path === null) return;
    const controller = new AbortController();
    const headers = { Accept: 'application/json', ...(clientId ? { 'X-Client-Account-Id': clientId } : {}) };
    fetch(API_BASE + path, { headers, signal: controller.signal })
      .then(async (response) => {
        if (response.ok) setAnswer({ path, data: (await response.json()) as T });
      })
      // The pages show their own failures; what is missing here is asked for with the next choice.
      .catch(() => {});
    return () => controller.abort();
  }, [path, clientId, again]);
  return answer?.path === path ? answer?.data : undefined;
}

export function FormerProviders({ children }: { children: ReactNode }) {
  const { auth, context, ui } = useStore(unstale.store, (state) => state);
  const userId = auth.status === 'signed-in' ? auth.userId : null;
  const { tenantId: clientId } = context;
  const { engagementId } = context.selection;
  const { navigationOpen } = ui;
  const session = auth.status === 'signed-in' ? auth.session.id : 0;

  const me = useFetched<ContextMe>(userId && '/context/me', clientId, `${session} ${engagementId}`);
  const clients = useFetched<Items<ClientSummary>>(
    userId && '/context-establishment/clients',
    clientId,
    session,
  );
  const engagements = useFetched<Items<Engagement>>(
    userId && clientId && `/context-establishment/engagements?client_id=${clientId}`,
    clientId,
    session,
  );
  const defaults = useFetched<UserDefaults>(userId && `/users/${userId}/defaults`, clientId, session);

  const everything = useMemo(
    () => ({ auth, clientId, engagementId, me, clients, engagements, defaults, navigationOpen }),
    [auth, clientId, engagementId, me, clients, engagements, defaults, navigationOpen],
  );
  return <EverythingContext value={everything}>{children}</EverythingContext>;
}
