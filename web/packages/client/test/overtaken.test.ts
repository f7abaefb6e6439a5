import { QueryObserver } from '@tanstack/react-query';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { adopt, defineRead } from '../src/react/index.ts';
import {
  answer,
  begin,
  event,
  network,
  observers,
  session,
  show,
  stateOf,
  urlsAfter,
} from './coherence-support.ts';
import { settle } from './support.ts';

describe('an answer that was declared wrong on its way', () => {
  beforeEach(async () => {
    session.dispose();
    await begin({ rereadEveryMs: 10 });
  });

  /** Answers what was asked last, after an event that it does not know of; so often. */
  async function overtake(times: number) {
    for (let time = 1; time <= times; time += 1) {
      event(['a'], `0.e.1${time}`);
      network.calls.at(-1)?.answer(`before ${time}`, { groups: ['a'] });
      await settle();
    }
  }

  it('is read again after three attempts, too: on its first load', async () => {
    const flows = show('flows');
    await settle();
    await overtake(3);
    await vi.waitFor(() => expect(network.calls).toHaveLength(4));
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.13');
    await answer('right', ['a']);
    expect([flows.data(), stateOf('flows')?.isInvalidated]).toEqual(['right', false]);
  });

  it('is marked after three attempts, too, to be read at the end of the burst', async () => {
    session.dispose();
    await begin({ rereadEveryMs: 60_000 });
    show('flows');
    await answer('old', ['a']);
    event(['a'], '0.e.1');
    await settle();
    await overtake(3);
    expect(network.calls).toHaveLength(4);
    expect(stateOf('flows')).toMatchObject({ data: 'before 3', fetchStatus: 'idle', isInvalidated: true });
  });

  it('is not shown again, if nobody shows it any more', async () => {
    const flows = show('flows');
    void session.queryClient.prefetchQuery({
      queryKey: [...session.scope, 'ahead'],
      queryFn: (context) => session.read(context, '/flows'),
    });
    flows.hide();
    await settle();
    await overtake(3);
    expect(stateOf('ahead')?.data).toBeUndefined();
  });

  it('is read again if it is one of several that a query is made of', async () => {
    const both = show('both', 'flows', 'assets');
    await settle();
    network.calls.at(-1)?.answer('old', { groups: ['a'] });
    await settle();
    event(['a'], '0.e.1');
    network.calls.at(-1)?.answer('assets', { groups: ['b'] });
    await vi.waitFor(() => expect(urlsAfter(2)).toEqual(['/api/flows']));
    network.calls.at(-1)?.answer('new', { groups: ['a'] });
    await answer('assets', ['b']);
    expect([both.data(), stateOf('both')?.isInvalidated]).toEqual([['new', 'assets'], false]);
  });

  it('is known by its groups although another that the query does without has failed', async () => {
    const observer = new QueryObserver<unknown>(session.queryClient, {
      queryKey: [...session.scope, 'some'],
      queryFn: async (context) => [
        await session.read(context, '/flows'),
        await session.read(context, '/assets').catch(() => 'none'),
      ],
    });
    observers.push(observer.subscribe(() => {}));
    await settle();
    network.calls.at(-1)?.answer('old', { groups: ['a'] });
    await settle();
    network.calls.at(-1)?.answer({ title: 'No' }, { status: 403 });
    await settle();
    expect(observer.getCurrentResult().data).toEqual(['old', 'none']);
    event(['a'], '0.e.1');
    expect(stateOf('some')).toMatchObject({ isInvalidated: true });
  });

  it('is of no account for what somebody else has put in its place', async () => {
    const queryKey = [...session.scope, 'flows'];
    const flows = show('flows');
    await answer('old', ['a']);
    flows.hide();
    event(['a'], '0.e.1');
    await session.queryClient.fetchQuery({ queryKey, queryFn: () => 'from elsewhere', staleTime: 0 });
    await settle();
    expect(stateOf('flows')).toMatchObject({ data: 'from elsewhere', isInvalidated: false });
  });

  it('stays marked when what is held is set back to how it was before the event', async () => {
    const flows = show('flows');
    await answer('old', ['a']);
    void session.queryClient.refetchQueries({ queryKey: [...session.scope, 'flows'] });
    await settle();
    event(['a'], '0.e.1');
    // Calls off the read, and TanStack Query then takes back everything since it began: the mark with it.
    flows.hide();
    await settle();
    const again = show('flows');
    expect(again.data()).toBeUndefined();
    await answer('new', ['a']);
    expect(again.data()).toBe('new');
  });

  it('stays marked when somebody changes it', async () => {
    show('flows');
    await answer('old', ['a']);
    event(['a'], '0.e.1');
    session.queryClient.setQueryData([...session.scope, 'flows'], 'changed');
    await settle();
    expect(stateOf('flows')?.isInvalidated).toBe(true);
  });

  it('is not shown again when it has left the screen while it was read anew', async () => {
    const both = show('both', 'flows', 'assets');
    await settle();
    network.calls.at(-1)?.answer('old', { groups: ['a'] });
    await answer('assets', ['b']);
    event(['a'], '0.e.1');
    await settle();
    network.calls.at(-1)?.answer('new', { groups: ['a'] });
    await settle();
    both.hide();
    await settle();
    expect(stateOf('both')?.data).toBeUndefined();
  });

  it('is not shown to who does not ask for it now, and asked for when they do', async () => {
    const flows = show('flows');
    await answer('old', ['a']);
    flows.enable(false);
    event(['a'], '0.e.1');
    await settle();
    expect([flows.data(), network.calls]).toEqual([undefined, [expect.anything()]]);
    flows.enable(true);
    await answer('new', ['a']);
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.1');
    expect(flows.data()).toBe('new');
  });

  it('is not shown any longer to who stops asking before it is read anew', async () => {
    session.dispose();
    await begin({ rereadEveryMs: 60_000 });
    const flows = show('flows');
    await answer('old', ['a']);
    event(['a'], '0.e.1');
    await answer('old', ['a']);
    event(['a'], '0.e.2');
    expect(stateOf('flows')).toMatchObject({ data: 'old', isInvalidated: true });
    flows.enable(false);
    await settle();
    expect(flows.data()).toBeUndefined();
  });

  it('leaves the groups of what is held in place until all of the new is there', async () => {
    const both = show('both', 'flows', 'assets');
    await settle();
    network.calls.at(-1)?.answer('old', { groups: ['a'] });
    await answer('assets', ['b']);
    void session.queryClient.refetchQueries({ queryKey: [...session.scope, 'both'] });
    await settle();
    network.calls.at(-1)?.answer('old', { groups: ['a'] });
    await settle();
    both.hide();
    event(['b'], '0.e.1');
    expect(stateOf('both')?.data).toBeUndefined();
  });
});

describe('a read that joins one on its way', () => {
  it('is not given what was asked for before an event that it has heard', async () => {
    show('one', 'same');
    await settle();
    event(['a'], '0.e.1');
    const two = show('two', 'same');
    await settle();
    expect(network.calls).toHaveLength(1);
    network.calls[0]?.answer('old', { groups: ['a'] });
    await settle();
    expect([two.data(), network.calls.length]).toEqual([undefined, 2]);
    await answer('new', ['a']);
    expect(two.data()).toBe('new');
  });

  it('is not given it either when it comes back in the same turn', async () => {
    const one = show('one', 'same');
    await settle();
    event(['a'], '0.e.1');
    one.hide();
    const again = show('one', 'same');
    await settle();
    network.calls[0]?.answer('old', { groups: ['a'] });
    await settle();
    expect(again.data()).toBeUndefined();
    await answer('new', ['a']);
    expect(again.data()).toBe('new');
  });

  it('is given it if the event says nothing of it', async () => {
    show('one', 'same');
    await settle();
    event(['b'], '0.e.1');
    const two = show('two', 'same');
    await answer('right', ['a']);
    expect([two.data(), network.calls.length]).toEqual(['right', 1]);
  });
});

describe('an answer that was read beside the queries', () => {
  it('is not taken for right if an event has overtaken it', async () => {
    const reading = session.api.get('/flows');
    event(['a'], '0.e.1');
    network.calls.at(-1)?.answer('old', { groups: ['a'] });
    adopt(session, defineRead('/flows')(), await reading);
    await settle();
    expect(stateOf('flows')?.data).toBeUndefined();
  });
});
