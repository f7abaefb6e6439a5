import { describe, expectTypeOf, it } from 'vitest';
import type { ApiResponse } from '../src/index.ts';
import {
  type CoherentSession,
  coherentQueryOptions,
  createUnstale,
  defineRead,
  foretell,
  type Read,
  type Receipt,
  useCoherentQuery,
  useWrite,
} from '../src/react/index.ts';

interface Flow {
  id: string;
}

/** Compiled and not run: what front-end developers are told by their editor. */
describe('types', () => {
  it('of a read follow from its definition', () => {
    const readFlow = defineRead<Flow, { flow_id: string }>('/flows/{flow_id}');
    const listFlows = defineRead<Flow[]>('/flows');
    expectTypeOf(readFlow).parameters.toEqualTypeOf<[params: { flow_id: string }]>();
    expectTypeOf(listFlows).parameters.toEqualTypeOf<[]>();
    expectTypeOf(readFlow({ flow_id: 'f' })).toEqualTypeOf<Read<Flow>>();
    // @ts-expect-error a parameter of another type
    readFlow({ flow_id: 7 });
    // @ts-expect-error no parameter at all
    readFlow();
  });

  it('of a query are those of its read, and its key carries them to the query client', () => {
    const use = () => useCoherentQuery(defineRead<Flow>('/flow')());
    expectTypeOf<ReturnType<typeof use>['data']>().toEqualTypeOf<Flow | undefined>();
    const get = (session: CoherentSession) =>
      session.queryClient.getQueryData(coherentQueryOptions(session, defineRead<Flow>('/flow')()).queryKey);
    expectTypeOf(get).returns.toEqualTypeOf<Flow | undefined>();
  });

  it('of a write end in a receipt of what the server answers', () => {
    const use = () =>
      useWrite({
        send: (api, name: string): Promise<ApiResponse<Flow>> => api.write<Flow>('POST', '/flows', { name }),
      });
    expectTypeOf<NonNullable<ReturnType<typeof use>['data']>>().toEqualTypeOf<Receipt<Flow>>();
    expectTypeOf<Parameters<ReturnType<typeof use>['mutate']>[0]>().toEqualTypeOf<string>();
    // @ts-expect-error a foretold value of another shape
    foretell(defineRead<Flow>('/flow')(), () => ({ id: 7 }));
  });

  it('of the application state follow from its selection', () => {
    const make = () =>
      createUnstale({
        name: 'a',
        baseUrl: '',
        selection: { project: null as string | null },
        ui: { open: false },
        identify: async () => ({ userId: 'u', tenantId: null, selection: { project: null } }),
      });
    expectTypeOf<Parameters<ReturnType<typeof make>['select']>[0]>().toEqualTypeOf<{
      project: string | null;
    }>();
  });
});
