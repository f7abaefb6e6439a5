import type { ApiClient, ApiResponse } from '@unstale/client';
import { foretell, keyOf, useCoherentSession, useWrite } from '@unstale/client/react';
import { BULK_MAX, chunksOf, withCorrections, withoutCorrections } from '../lib/cleansing';
import { getDataQuality } from './reads';
import type { Correction, DataQuality, ValuesCorrected } from './types';

/** What corrections change beside the page of the import itself. */
const refreshes = (importId: string) => [['data-cleansing', importId], ['assets']];

/** Corrects values, shown at once and taken back if the server refuses. */
export function useCorrectValues(importId: string, userId: string | null) {
  return useWrite({
    send: (api: ApiClient, corrections: readonly Correction[]) =>
      inParts(corrections, (part) =>
        api.write<ValuesCorrected>('POST', `/data-cleansing/${importId}/corrections`, { corrections: part }),
      ),
    refreshes: refreshes(importId),
    optimistic: (corrections) => {
      const by = { userId, at: new Date().toISOString() };
      return [
        foretell(getDataQuality({ import_id: importId }), (shown) => withCorrections(shown, corrections, by)),
      ];
    },
  });
}

/** Takes corrections back, so that the file's values are shown again. */
export function useUndoCorrections(importId: string) {
  return useWrite({
    send: (api: ApiClient, ids: readonly string[]) =>
      inParts(ids, (part) =>
        api.write<ValuesCorrected>('POST', `/data-cleansing/${importId}/corrections/undo`, {
          correction_ids: part,
        }),
      ),
    refreshes: refreshes(importId),
    optimistic: (ids) => [
      foretell(getDataQuality({ import_id: importId }), (shown) => withoutCorrections(shown, new Set(ids))),
    ],
  });
}

/** Says which of these corrections there still are, as far as this browser knows. */
export function useLeftOf(importId: string): (ids: readonly string[]) => string[] {
  const session = useCoherentSession();
  return (ids) => {
    const key = keyOf(session, getDataQuality({ import_id: importId }));
    const left = session.queryClient.getQueryData<DataQuality>(key)?.corrections.map(({ id }) => id);
    return ids.filter((id) => left?.includes(id) ?? true);
  };
}

/**
 * As many requests as it takes, one after the other, and one answer. If one is refused, those before it stand; the page
 * is read again, and shows them.
 */
async function inParts<T>(
  items: readonly T[],
  send: (part: readonly T[]) => Promise<ApiResponse<ValuesCorrected>>,
): Promise<ApiResponse<ValuesCorrected>> {
  const [first = [], ...rest] = chunksOf(items, BULK_MAX);
  let answer = await send(first);
  for (const part of rest) {
    const { data: before } = answer;
    answer = await send(part);
    const corrections = [...before.corrections, ...answer.data.corrections];
    answer = { ...answer, data: { corrections, rows: before.rows + answer.data.rows } };
  }
  return answer;
}
