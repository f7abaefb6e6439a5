import { hashKey, type QueryObserverOptions } from '@tanstack/react-query';
import { cleanup, renderHook } from '@testing-library/react';
import { type CoherentSession, coherentQueryOptions, keyOf, type Read } from '@unstale/client/react';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as queries from '../src/api/queries';
import * as reads from '../src/api/reads';
import { openSession, within } from './support';

/** For how long what pages read is shown without being asked for again, and kept while nobody shows it. */
const MINUTE_MS = 60_000;
const DEFAULT = [5, 10] as const;
const CONTEXT = [60, 120] as const;
const LISTS = [30, 60] as const;
const MAPPINGS = [2, 5] as const;

let session: CoherentSession;

beforeEach(() => {
  session = openSession(() => new Promise(() => {}));
});

afterEach(() => {
  cleanup();
  session.dispose();
});

/** What whoever shows `read` has asked of the query client. */
function askedOf(read: Read<unknown>): QueryObserverOptions {
  const hash = hashKey(keyOf(session, read));
  const observer = session.queryClient.getQueryCache().get(hash)?.observers[0];
  if (!observer) throw new Error(`nobody shows ${read.path}`);
  return session.queryClient.defaultQueryOptions(observer.options);
}

const minutesOf = ({ staleTime, gcTime }: QueryObserverOptions) => [
  Number(staleTime) / MINUTE_MS,
  Number(gcTime) / MINUTE_MS,
];

/** Before anything was heard, or failed to be: neither coming back to a page nor showing it asks again. */
function expectNoLookingAgain(options: QueryObserverOptions) {
  const query = session.queryClient.getQueryCache().build(session.queryClient, { queryKey: ['any'] });
  for (const when of [options.refetchOnWindowFocus, options.refetchOnMount]) {
    expect(typeof when === 'function' ? when(query as never) : when).toBe(false);
  }
  expect(options.refetchOnReconnect).toBe(true);
}

describe('what pages read', () => {
  it.each([
    ['useUserContext', () => queries.useUserContext(), reads.getStanding(), CONTEXT],
    ['useTargetAttributes', () => queries.useTargetAttributes(), reads.listTargetAttributes(), CONTEXT],
    ['useClients', () => queries.useClients(), reads.listOwnClients(), LISTS],
    [
      'useEngagements',
      () => queries.useEngagements('c'),
      reads.listOwnEngagements({ client_id: 'c' }),
      LISTS,
    ],
    [
      'useFieldMappings',
      () => queries.useFieldMappings('i'),
      reads.getFieldMappings({ import_id: 'i' }),
      MAPPINGS,
    ],
    ['useFlow', () => queries.useFlow('f'), reads.getFlow({ flow_id: 'f' }), DEFAULT],
  ] as const)('%s has its times', (_name, useIt, read, minutes) => {
    renderHook(() => void useIt(), { wrapper: within(session) });
    expect(minutesOf(askedOf(read))).toEqual(minutes);
    expectNoLookingAgain(askedOf(read));
  });

  it('has the defaults wherever nothing else is said: every read there is', () => {
    const all = Object.values(reads) as ((params: object) => Read<unknown>)[];
    expect(all.length).toBeGreaterThan(20);
    for (const make of all) {
      const options = session.queryClient.defaultQueryOptions(coherentQueryOptions(session, make({})));
      expect(minutesOf(options)).toEqual(DEFAULT);
      expectNoLookingAgain(options);
    }
  });
});
