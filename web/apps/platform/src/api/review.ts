import type { ApiClient } from '@unstale/client';
import { foretell, keyOf, useCoherentSession, useWrite } from '@unstale/client/react';
import { type Decision, statisticsOf, withDecision } from '../lib/mappings';
import { getFieldMappings, getMappingStatistics } from './reads';
import type { BulkReviewResult, FieldMappings } from './types';

export interface Review {
  decision: Decision;
  ids: readonly string[];
}

/** What is decided on many mappings, shown at once and taken back if the server refuses. */
export function useReview(importId: string) {
  const session = useCoherentSession();
  const mappings = getFieldMappings({ import_id: importId });
  const statistics = getMappingStatistics({ import_id: importId });

  return useWrite({
    send: (api: ApiClient, { decision, ids }: Review) =>
      api.write<BulkReviewResult>('POST', `/field-mappings/${importId}/bulk-${decision}`, {
        mapping_ids: ids,
      }),
    refreshes: [['field-mappings', importId], ['assets']],
    // Of what is held whenever they are made, which may be newer than what was reviewed.
    optimistic: ({ decision, ids }) => {
      const reviewed = ({ items }: FieldMappings) => withDecision(items, new Set(ids), decision);
      return [
        foretell(mappings, (before) => ({ ...before, items: reviewed(before) })),
        foretell(statistics, (before) => {
          const held = session.queryClient.getQueryData<FieldMappings>(keyOf(session, mappings));
          return held ? statisticsOf(importId, reviewed(held)) : before;
        }),
      ];
    },
    answered: ({ statistics: counted }) => [foretell(statistics, () => counted)],
  });
}
