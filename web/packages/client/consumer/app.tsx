/** The five-minute start of the README, as a project that has only the tarball would write it. */
import { isApiError } from '@unstale/client';
import { UnstaleDevtools } from '@unstale/client/devtools';
import { LiveConnection } from '@unstale/client/live';
import { createSealedStore } from '@unstale/client/offline';
import {
  createUnstale,
  defineRead,
  foretell,
  SessionBoundary,
  UnstaleProvider,
  useCoherence,
  useCoherentQuery,
  useStore,
  useWrite,
} from '@unstale/client/react';
import { expectNothingSurvives } from '@unstale/client/testing';
import { reportVitals } from '@unstale/client/vitals';

interface Flow {
  id: string;
  name: string;
}

const readFlow = defineRead<Flow, { flow_id: string }>('/flows/{flow_id}');

export const unstale = createUnstale({
  name: 'my-app',
  baseUrl: '/api/v1',
  selection: { project: null as string | null },
  ui: { menuOpen: false },
  identify: async (api) => {
    const { data } = await api.get<{ user: string; tenant: string }>('/me');
    return { userId: data.user, tenantId: data.tenant, selection: { project: null } };
  },
  live: (tenant) => ({ url: `/api/v1/events?tenant=${tenant}`, streamUrl: '/api/v1/events/stream' }),
  lastKnown: createSealedStore({ name: 'my-app' }),
});

export function FlowName({ id }: { id: string }) {
  const { data, error } = useCoherentQuery(readFlow({ flow_id: id }));
  const { state } = useCoherence();
  const rename = useWrite({
    send: (api, name: string) => api.write<Flow>('PATCH', `/flows/${id}`, { name }),
    refreshes: [['flows']],
    optimistic: (name) => [foretell(readFlow({ flow_id: id }), (before) => ({ ...before, name }))],
  });
  if (isApiError(error, 404)) return <p>Gone</p>;
  return (
    <button
      type="button"
      title={state}
      onClick={() => void rename.mutateAsync('new').then((receipt) => receipt.visible())}
    >
      {data?.name}
    </button>
  );
}

export function App() {
  const auth = useStore(unstale.store, (state) => state.auth);
  return (
    <UnstaleProvider unstale={unstale}>
      {auth.status === 'signed-in' && (
        <SessionBoundary session={auth.session}>
          <FlowName id="1" />
          <UnstaleDevtools />
        </SessionBoundary>
      )}
    </UnstaleProvider>
  );
}

export const others = [LiveConnection, expectNothingSurvives, reportVitals] as const;
