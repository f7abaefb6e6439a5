import { act, cleanup, renderHook } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type CoherentSession,
  defineRead,
  foretell,
  prefetchReads,
  SessionBoundary,
  useCoherentQuery,
  usePrefetchOnIntent,
  useWrite,
  type Wanted,
} from '../src/react/index.ts';
import { liveSession } from './live-session.ts';
import { type AnswerOptions, FakeSocket, fakeNetwork, settle } from './support.ts';

interface Flow {
  name: string;
}

const readFlow = defineRead<Flow, { flow_id: string }>('/flows/{flow_id}');
const listFlows = defineRead<{ items: Flow[] }, { status?: string }>('/flows', { query: ['status'] });

let network: ReturnType<typeof fakeNetwork>;
let session: CoherentSession;

beforeEach(async () => {
  network = fakeNetwork();
  session = await liveSession(network);
});

afterEach(() => {
  cleanup();
  session.dispose();
});

describe('a read as a value', () => {
  it('has its address, its key and its parameters', () => {
    expect(readFlow({ flow_id: 'a b' })).toMatchObject({ path: '/flows/a%20b', key: ['flows', 'a b'] });
    expect(listFlows({})).toMatchObject({ path: '/flows', key: ['flows'], query: undefined });
    expect(listFlows({ status: 'draft' }).key).toEqual(['flows', { status: 'draft' }]);
  });

  it('is read ahead when somebody is about to want it', async () => {
    prefetchReads(session, [readFlow({ flow_id: 'f' })]);
    await settle();
    expect(network.calls.map(({ url }) => url)).toEqual(['/flows/f']);
    network.calls[0]?.answer({ name: 'x' }, { groups: ['a'] });
    await settle();
    prefetchReads(session, [readFlow({ flow_id: 'f' })]);
    await settle();
    expect(network.calls).toHaveLength(1);
  });

  it('is read ahead after what is held, where one leads to another', async () => {
    const wanted: Wanted = (held) => {
      const first = held(readFlow({ flow_id: 'f' }));
      return [readFlow({ flow_id: 'f' }), ...(first ? [readFlow({ flow_id: first.name })] : [])];
    };
    prefetchReads(session, wanted);
    await settle();
    network.calls[0]?.answer({ name: 'next' }, { groups: ['a'] });
    await settle();
    prefetchReads(session, wanted);
    await settle();
    expect(network.calls.map(({ url }) => url)).toEqual(['/flows/f', '/flows/next']);
  });
});

describe('a link that leads somewhere', () => {
  const point = { currentTarget: {}, movementX: 3, movementY: 0 };
  const intent = () => {
    const wrapper = ({ children }: { children: ReactNode }) => (
      <SessionBoundary session={session}>{children}</SessionBoundary>
    );
    const also = vi.fn();
    const { result } = renderHook(() => usePrefetchOnIntent(), { wrapper });
    return { handlers: result.current([readFlow({ flow_id: 'f' })], also), also };
  };

  it('reads what it leads to once it is pointed at, and again when somebody comes back to it', async () => {
    const { handlers, also } = intent();
    handlers.onMouseMove(point);
    handlers.onMouseMove(point);
    await settle();
    expect(network.calls.map(({ url }) => url)).toEqual(['/flows/f']);
    expect(also).toHaveBeenCalledTimes(1);
    handlers.onMouseLeave(point);
    handlers.onMouseMove(point);
    expect(also).toHaveBeenCalledTimes(2);
    handlers.onMouseLeave(point);
  });

  it('reads nothing when it comes to lie under a pointer that rests', async () => {
    const { handlers, also } = intent();
    handlers.onMouseMove({ ...point, movementX: 0 });
    await settle();
    expect(also).not.toHaveBeenCalled();
    expect(network.calls).toHaveLength(0);
  });

  it('tells when all of it has been read, or has failed', async () => {
    const { handlers, also } = intent();
    handlers.onFocus();
    let isRead = false;
    void also.mock.calls[0]?.[0].then(() => {
      isRead = true;
    });
    await settle();
    expect(isRead).toBe(false);
    network.calls[0]?.answer('', { status: 404 });
    await settle();
    expect(isRead).toBe(true);
  });
});

async function open() {
  const wrapper = ({ children }: { children: ReactNode }) => (
    <SessionBoundary session={session}>{children}</SessionBoundary>
  );
  const { result } = renderHook(
    () => ({
      flow: useCoherentQuery(readFlow({ flow_id: 'f' })),
      rename: useWrite({
        send: (api, name: string) => api.write<Flow>('PATCH', '/flows/f', { name }),
        refreshes: [['flows']],
        optimistic: (name) => [foretell(readFlow({ flow_id: 'f' }), (before) => ({ ...before, name }))],
      }),
    }),
    { wrapper },
  );
  await reply({ name: 'old' }, '0.e.0');
  return { flow: () => result.current.flow.data?.name, rename: () => result.current.rename };
}

async function reply(body: unknown, position?: string, status = 200) {
  await act(async () => {
    await settle();
    network.calls.at(-1)?.answer(body, { groups: ['a'], status, ...(position ? { position } : {}) });
    await settle();
  });
}

describe('a write', () => {
  it('is shown before it is answered, and its receipt says when it is on screen for certain', async () => {
    const page = await open();
    let visible = false;
    act(() => {
      page.rename().mutate('new', {
        onSuccess: (receipt) => {
          void receipt.visible().then(() => {
            visible = true;
          });
        },
      });
    });
    await act(settle);
    expect(page.flow()).toBe('new');

    await reply({ name: 'new' }, '0.e.1');
    expect(page.rename().data?.position).toBe('0.e.1');
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.1');
    expect(visible).toBe(false);
    await reply({ name: 'new, as the server has it' });
    await act(async () => {
      FakeSocket.last.push({ type: 'cache_invalidation', groups: ['a'], position: '0.e.1', data: {} });
      await settle();
    });
    expect(page.flow()).toBe('new, as the server has it');
    await vi.waitFor(() => expect(visible).toBe(true));
    expect(network.calls).toHaveLength(3);
  });

  it('is taken back if the server refuses, and read again', async () => {
    const page = await open();
    act(() => page.rename().mutate('refused'));
    await act(settle);
    expect(page.flow()).toBe('refused');
    await reply({ title: 'No' }, undefined, 409);
    expect(page.flow()).toBe('old');
    await reply({ name: 'changed by somebody else meanwhile' });
    expect(page.flow()).toBe('changed by somebody else meanwhile');
  });

  describe('that is not answered yet', () => {
    /** Begins one that is to be answered by what is returned. */
    async function begin(page: Awaited<ReturnType<typeof open>>, name: string) {
      act(() => page.rename().mutate(name));
      await act(settle);
      const call = network.calls.at(-1);
      return (body: unknown, options: AnswerOptions) =>
        act(async () => {
          call?.answer(body, options);
          await settle();
        });
    }

    async function hear(position: string) {
      await act(async () => {
        FakeSocket.last.push({ type: 'cache_invalidation', groups: ['a'], position, data: {} });
        await settle();
      });
    }

    const refused = { status: 409 };

    it('stays shown over what the server says meanwhile, and gives way to that when it is refused', async () => {
      const page = await open();
      const finish = await begin(page, 'mine');
      await hear('0.e.1');
      await reply({ name: 'a colleague’s' });
      expect(page.flow()).toBe('mine');
      await finish({ title: 'No' }, refused);
      expect(page.flow()).toBe('a colleague’s');
      // And stays so if it cannot be read again.
      await reply({ title: 'Broken' }, undefined, 422);
      expect(page.flow()).toBe('a colleague’s');
    });

    it('is shown over what left before it, and gives way to what was read after it', async () => {
      const page = await open();
      act(() => void session.queryClient.refetchQueries());
      await act(settle);
      const early = network.calls.at(-1);
      const finish = await begin(page, 'mine');
      await act(async () => {
        early?.answer({ name: 'old' }, { groups: ['a'] });
        await settle();
      });
      expect(page.flow()).toBe('mine');
      await finish({ name: 'mine' }, { position: '0.e.1' });
      expect(page.flow()).toBe('mine');
      await reply({ name: 'Mine' });
      expect(page.flow()).toBe('Mine');
    });

    it('does not bring back what was foretold of another, whichever is answered first', async () => {
      const page = await open();
      const first = await begin(page, 'first');
      const second = await begin(page, 'second');
      expect(page.flow()).toBe('second');
      await first({ title: 'No' }, refused);
      expect(page.flow()).toBe('second');
      await second({ title: 'No' }, refused);
      expect(page.flow()).toBe('old');
    });

    it('does not take the mark of what was declared wrong', async () => {
      const page = await open();
      await hear('0.e.1');
      const key = ['t', 'u', 'flows', 'f'];
      await begin(page, 'mine');
      expect(page.flow()).toBe('mine');
      expect(session.queryClient.getQueryState(key)).toMatchObject({ isInvalidated: true });
    });
  });

  it('that is refused after the session has ended brings nothing back', async () => {
    const page = await open();
    act(() => page.rename().mutate('late'));
    await act(settle);
    act(() => session.dispose());
    await reply({ title: 'No' }, undefined, 409);
    expect(session.queryClient.getQueryCache().getAll()).toEqual([]);
    expect(session.queryClient.getMutationCache().getAll()).toEqual([]);
  });
});
