import type { ApiClient } from '@unstale/client';
import { foretell, keyOf, useCoherentSession, useWrite } from '@unstale/client/react';
import { statisticsOf, withStatus } from '../lib/mappings';
import { getFieldMappings, getMappingStatistics } from './reads';
import type { BulkReviewResult, FieldMappings } from './types';

export type Verdict = 'approve' | 'reject';

export interface Review {
  verdict: Verdict;
  ids: readonly string[];
}

/** Bulk approval and rejection, shown at once and taken back if the server refuses. */
export function useReview(importId: string) {
  const session = useCoherentSession();
  const mappings = getFieldMappings({ import_id: importId });
  const statistics = getMappingStatistics({ import_id: importId });

  return useWrite({
    send: (api: ApiClient, { verdict, ids }: Review) =>
      api.write<BulkReviewResult>('POST', `/field-mappings/${importId}/bulk-${verdict}`, {
        mapping_ids: ids,
      }),
    refreshes: [['field-mappings', importId], ['assets']],
    // Of what is held whenever they are made, which may be newer than what was reviewed.
    optimistic: ({ verdict, ids }) => {
      const status = verdict === 'approve' ? 'approved' : 'rejected';
      const reviewed = ({ items }: FieldMappings) => withStatus(items, new Set(ids), status);
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
