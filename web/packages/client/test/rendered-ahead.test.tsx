import { act, cleanup, render } from '@testing-library/react';
import { Activity, useEffect, useLayoutEffect } from 'react';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  adopt,
  type CoherentSession,
  defineRead,
  RenderedAhead,
  SessionBoundary,
  useCoherentQuery,
  useHeld,
} from '../src/react/index.ts';
import { liveSession } from './live-session.ts';
import { FakeSocket, fakeNetwork, settle } from './support.ts';

interface Flow {
  name: string;
}

const readFlow = defineRead<Flow, { flow_id: string }>('/flows/{flow_id}');
const [mine, others] = [readFlow({ flow_id: 'mine' }), readFlow({ flow_id: 'others' })];

let network: ReturnType<typeof fakeNetwork>;
let session: CoherentSession;
/** What was in the document whenever React had changed it, before anybody could see it. */
let committed: string[] = [];
let renders = 0;
let effects = 0;

beforeEach(async () => {
  [committed, renders, effects] = [[], 0, 0];
  network = fakeNetwork();
  session = await liveSession(network, { rereadEveryMs: 0 });
  hold(mine, 'first');
  hold(others, 'other');
});

afterEach(() => {
  cleanup();
  session.dispose();
});

/** As though the server had said so; `group` is what it would be told wrong by. */
function hold(read: typeof mine, name: string) {
  adopt(session, read, { data: { name }, groups: [read.path], position: '0.e.0', status: 200 } as never);
}

function Name() {
  const { data } = useCoherentQuery(mine);
  renders += 1;
  useEffect(() => {
    effects += 1;
  }, []);
  return <p>{data?.name ?? 'nothing'}</p>;
}

/** The very same each time, as the React compiler has it: whoever renders again has a reason of their own. */
const name = <Name />;

function Stage({ isShown }: { isShown: boolean }) {
  useLayoutEffect(() => {
    if (isShown) committed.push(document.querySelector('p')?.textContent ?? '');
  });
  return (
    <SessionBoundary session={session}>
      <RenderedAhead isShown={isShown}>
        <Activity mode={isShown ? 'visible' : 'hidden'}>{name}</Activity>
      </RenderedAhead>
    </SessionBoundary>
  );
}

const prepared = async () => {
  const { rerender } = render(<Stage isShown={false} />);
  await act(settle);
  return { show: () => act(async () => rerender(<Stage isShown />)) };
};

describe('what is rendered ahead', () => {
  it('is there before it is shown, runs nothing until then, and is not rendered again to be shown', async () => {
    const { show } = await prepared();
    expect(document.querySelector('p')?.textContent).toBe('first');
    expect([renders, effects]).toEqual([1, 0]);
    await show();
    expect([renders, effects]).toEqual([1, 1]);
    expect(committed[0]).toBe('first');
    expect(network.calls).toHaveLength(0);
  });

  it('shows at once what has changed meanwhile', async () => {
    const { show } = await prepared();
    await act(async () => void session.queryClient.setQueryData(['t', 'u', ...mine.key], { name: 'second' }));
    await show();
    expect(committed[0]).toBe('second');
  });

  it('does not show what it was told is wrong', async () => {
    const { show } = await prepared();
    await act(async () => {
      FakeSocket.last.push({ type: 'cache_invalidation', groups: [mine.path], position: '0.e.1', data: {} });
      await settle();
    });
    await show();
    expect(committed[0]).toBe('nothing');
    await act(settle);
    expect(network.calls.map(({ url }) => url)).toEqual(['/flows/mine']);
  });

  it('is left alone by what it does not show', async () => {
    await prepared();
    await act(async () => void session.queryClient.setQueryData(['t', 'u', ...others.key], { name: 'else' }));
    await act(settle);
    expect(renders).toBe(1);
  });

  it('hears of changes as everybody does once it is shown', async () => {
    const { show } = await prepared();
    await show();
    const before = renders;
    await act(async () => {
      session.queryClient.setQueryData(['t', 'u', ...mine.key], { name: 'third' });
      await settle();
    });
    expect(document.querySelector('p')?.textContent).toBe('third');
    expect(renders).toBe(before + 1);
  });
});

describe('what is held', () => {
  it('is told without being asked for or kept', async () => {
    function Held() {
      return <p>{useHeld(mine)?.name ?? 'nothing'}</p>;
    }
    render(
      <SessionBoundary session={session}>
        <Held />
      </SessionBoundary>,
    );
    expect(document.querySelector('p')?.textContent).toBe('first');
    await act(async () => {
      FakeSocket.last.push({ type: 'cache_invalidation', groups: [mine.path], position: '0.e.1', data: {} });
      await settle();
    });
    expect(document.querySelector('p')?.textContent).toBe('nothing');
    expect(network.calls).toHaveLength(0);
  });
});
