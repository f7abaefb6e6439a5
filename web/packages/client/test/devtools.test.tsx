import { act, cleanup, render, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { UnstaleDevtools } from '../src/devtools/index.tsx';
import { type CoherentSession, defineRead, SessionBoundary, useCoherentQuery } from '../src/react/index.ts';
import { liveSession } from './live-session.ts';
import { FakeSocket, fakeNetwork, settle } from './support.ts';

const readFlow = defineRead<{ name: string }>('/flows/mine');

let network: ReturnType<typeof fakeNetwork>;
let session: CoherentSession;

function Flow() {
  return <p>{useCoherentQuery(readFlow()).data?.name}</p>;
}

beforeEach(async () => {
  network = fakeNetwork();
  session = await liveSession(network, { rereadEveryMs: 0 });
  render(
    <SessionBoundary session={session}>
      <Flow />
      <UnstaleDevtools />
    </SessionBoundary>,
  );
  await answer('first', { groups: ['of-the-flow'], etag: '"1"' });
});

afterEach(() => {
  cleanup();
  session.dispose();
});

async function answer(name: string, options: object) {
  await act(async () => {
    await settle();
    network.calls.at(-1)?.answer({ name }, options);
    await settle();
  });
}

const cells = async () => {
  // It looks again every now and then.
  await act(() => new Promise((resolve) => setTimeout(resolve, 600)));
  const row = within(await screen.findByRole('complementary', { name: 'Unstale devtools' })).getAllByRole(
    'row',
  )[1];
  return within(row as HTMLElement)
    .getAllByRole('cell')
    .map(({ textContent }) => textContent);
};

const figure = (name: string) => screen.getByText(name).parentElement?.textContent;

it('says what a query holds, why it was read last, and what was saved', async () => {
  let [query, state, groups, , reason] = await cells();
  expect([query, state, groups, reason]).toEqual(['flows / mine', 'on screen', 'of-the-f…', 'first shown']);
  expect([figure('requests'), figure('refetches saved')]).toEqual(['requests 1', 'refetches saved 0']);

  const event = { type: 'cache_invalidation', groups: ['of-the-flow'], position: '0.e.1', data: {} };
  act(() => FakeSocket.last.push(event));
  await vi.waitFor(() => expect(network.calls).toHaveLength(2));
  await answer('', { status: 304, groups: ['of-the-flow'], etag: '"1"' });
  [, , , , reason] = await cells();
  expect(reason).toBe('a group moved');
  // It was asked for by its ETag, and nothing had changed.
  expect([figure('requests'), figure('events'), figure('refetches saved')]).toEqual([
    'requests 2',
    'events 1',
    'refetches saved 1',
  ]);

  act(() => FakeSocket.last.push({ type: 'resync', reason: 'too slow', position: '0.e.9' }));
  await vi.waitFor(() => expect(network.calls).toHaveLength(3));
  await answer('later', { groups: ['of-the-flow'] });
  [, , , , reason] = await cells();
  expect([reason, figure('resyncs')]).toEqual(['resync: too slow', 'resyncs 2']);
});
