import { useMutation } from '@tanstack/react-query';
import { useCoherentSession } from '@unstale/client/react';
import { statisticsOf, withStatus } from '../lib/mappings';
import { refreshAfterWrite } from './mutations';
import type { BulkReviewResult, FieldMappings, MappingStatistics } from './types';

export type Verdict = 'approve' | 'reject';

export interface Review {
  verdict: Verdict;
  ids: readonly string[];
}

/** Bulk approval and rejection, shown at once and taken back if the server refuses. */
export function useReview(importId: string) {
  const session = useCoherentSession();
  const { api, queryClient, scope } = session;
  const mappingsKey = [...scope, 'field-mappings', importId];
  const statisticsKey = [...mappingsKey, 'statistics'];

  return useMutation({
    mutationFn: async ({ verdict, ids }: Review) =>
      (
        await api.write<BulkReviewResult>('POST', `/field-mappings/${importId}/bulk-${verdict}`, {
          mapping_ids: ids,
        })
      ).data,

    onMutate: async ({ verdict, ids }) => {
      // A read on its way would put the old statuses back over the foretold ones.
      await queryClient.cancelQueries({ queryKey: mappingsKey });
      const mappings = queryClient.getQueryData<FieldMappings>(mappingsKey);
      const statistics = queryClient.getQueryData<MappingStatistics>(statisticsKey);
      if (mappings) {
        const items = withStatus(
          mappings.items,
          new Set(ids),
          verdict === 'approve' ? 'approved' : 'rejected',
        );
        queryClient.setQueryData<FieldMappings>(mappingsKey, { ...mappings, items });
        queryClient.setQueryData<MappingStatistics>(statisticsKey, statisticsOf(importId, items));
      }
      return { mappings, statistics };
    },

    onError: (_error, _review, before) => {
      queryClient.setQueryData(mappingsKey, before?.mappings);
      queryClient.setQueryData(statisticsKey, before?.statistics);
      // What was taken back is as old as the attempt; somebody else may have changed it meanwhile.
      return queryClient.invalidateQueries({ queryKey: mappingsKey });
    },

    onSuccess: ({ statistics }) => {
      queryClient.setQueryData(statisticsKey, statistics);
      return refreshAfterWrite(session, [['field-mappings', importId], ['assets']]);
    },
  });
}
