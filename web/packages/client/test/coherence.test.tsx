import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { refreshAhead } from '../src/react/index.ts';
import { answer, event, network, session, show, stateOf, urlsAfter } from './coherence-support.ts';
import { FakeSocket, settle } from './support.ts';

describe('a pushed event', () => {
  it('refetches exactly what is on screen and holds a named group, at its position', async () => {
    const flows = show('flows');
    await answer('old', ['a', 'shared']);
    show('users');
    await answer('users', ['b']);
    const before = network.calls.length;

    event(['a'], '0.e.1');
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows']);
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.1');
    await answer('new', ['a']);
    expect(flows.data()).toBe('new');
  });

  it('marks what is off screen, which is then refetched when it is shown again', async () => {
    const flows = show('flows');
    await answer('old', ['a']);
    flows.hide();
    const before = network.calls.length;
    event(['a'], '0.e.1');
    await settle();
    expect(urlsAfter(before)).toEqual([]);

    const again = show('flows');
    // What is known to be wrong is not shown for want of better.
    expect(again.data()).toBeUndefined();
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows']);
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.1');
    await answer('new', ['a']);
    expect(again.data()).toBe('new');
  });

  describe('that many hear', () => {
    const spread = (position: string, jitter_ms = 60_000) =>
      FakeSocket.last.push({ type: 'cache_invalidation', groups: ['a'], data: {}, position, jitter_ms });

    beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0.5));
    afterEach(() => void vi.restoreAllMocks());

    it('is acted upon at a moment of its own, unless the query was read meanwhile', async () => {
      show('flows');
      await answer('old', ['a']);
      const before = network.calls.length;
      spread('0.e.1', 30);
      expect(session.queryClient.isFetching()).toBe(0);
      await vi.waitFor(() => expect(urlsAfter(before)).toEqual(['/api/flows']));
      await answer('new', ['a']);

      spread('0.e.2', 30);
      void session.queryClient.refetchQueries({ queryKey: [...session.scope, 'flows'] });
      await answer('newer', ['a']);
      expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.2');
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(urlsAfter(before)).toEqual(['/api/flows', '/api/flows']);
    });

    it('marks what is on screen at once', async () => {
      show('flows');
      await answer('old', ['a']);
      const before = network.calls.length;
      spread('0.e.1');
      expect(stateOf('flows')?.isInvalidated).toBe(true);
      // Somebody else comes to show it.
      show('flows');
      await settle();
      expect(urlsAfter(before)).toEqual(['/api/flows']);
    });

    it('marks what is off screen at once, so that it is not shown again', async () => {
      const flows = show('flows');
      await answer('old', ['a']);
      flows.hide();
      const before = network.calls.length;
      spread('0.e.1');
      const again = show('flows');
      expect(again.data()).toBeUndefined();
      await settle();
      expect(urlsAfter(before)).toEqual(['/api/flows']);
    });

    it('is not waited for by who wants to see what they wrote', async () => {
      const flows = show('flows');
      await answer('old', ['a']);
      spread('0.e.1');
      let shown: unknown;
      void session.shown('0.e.1').then(() => {
        shown = flows.data();
      });
      await answer('new', ['a']);
      await vi.waitFor(() => expect(shown).toBe('new'));
    });

    it('is acted upon at once by who wrote it', async () => {
      show('flows');
      await answer('old', ['a']);
      const done = session.api.write('POST', '/flows', {});
      network.calls.at(-1)?.answer({}, { position: '0.e.1' });
      await done;
      const before = network.calls.length;
      spread('0.e.1');
      await settle();
      expect(urlsAfter(before)).toEqual(['/api/flows']);
    });

    it('is not waited for by who wrote, once that is acknowledged', async () => {
      show('flows');
      await answer('old', ['a']);
      const before = network.calls.length;
      spread('0.e.1');
      void refreshAhead(session, []);
      await settle();
      expect(urlsAfter(before)).toEqual(['/api/flows']);
    });
  });

  it('leaves alone what is shown again without having changed', async () => {
    const flows = show('flows');
    await answer('old', ['a']);
    flows.hide();
    const before = network.calls.length;
    show('flows');
    await settle();
    expect(urlsAfter(before)).toEqual([]);
  });

  it('that overtakes the first answer makes it be read again', async () => {
    const flows = show('flows');
    await settle();
    event(['a'], '0.e.1');
    network.calls.at(-1)?.answer('old', { groups: ['a'] });
    await settle();
    expect(flows.data()).toBeUndefined();
    expect(network.calls).toHaveLength(2);
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.1');
    await answer('new', ['a']);
    expect(flows.data()).toBe('new');
  });
});

describe('a write', () => {
  async function write(position: string) {
    const done = session.api.write('POST', '/flows', {});
    network.calls.at(-1)?.answer({}, { position });
    await done;
  }

  it('is seen by the refresh that follows it, and its own event asks for nothing more', async () => {
    show('flows');
    await answer('old', ['a']);
    await write('0.e.5');
    const before = network.calls.length;
    void session.refreshAfterWrite({});
    await answer('new', ['a']);
    event(['a'], '0.e.5');
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows']);
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.5');
  });

  it('of several records in several partitions knows the events of each for its own', async () => {
    show('flows');
    await answer('old', ['a']);
    await write('0.e.6~2.e.3');
    const before = network.calls.length;
    void session.refreshAfterWrite({});
    await answer('new', ['a']);
    event(['a'], '0.e.5');
    event(['a'], '0.e.6');
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows']);
    event(['a'], '0.e.7');
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows', '/api/flows']);
  });

  it('is asked for also by what an event makes be read that is older', async () => {
    show('flows');
    await answer('old', ['a']);
    await write('0.e.a');
    event(['a'], '0.e.9');
    await settle();
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.a');
  });

  it('whose event came before its answer is not read twice either', async () => {
    show('flows');
    await answer('old', ['a']);
    const before = network.calls.length;
    const done = session.api.write('POST', '/flows', {});
    const call = network.calls.at(-1);
    event(['a'], '0.e.5');
    await answer('new', ['a']);
    call?.answer({}, { position: '0.e.5' });
    await done;
    void session.refreshAfterWrite({});
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows', '/api/flows']);
  });
});

describe('what a write has reached', () => {
  async function isShown(position: string) {
    let isOver = false;
    void session.shown(position).then(() => {
      isOver = true;
    });
    await settle();
    return () => isOver;
  }

  it('is shown once its event was heard, of several partitions in that which this tab hears of', async () => {
    const isOver = await isShown('0.e.5~2.e.3');
    event(['x'], '0.e.4');
    await settle();
    expect(isOver()).toBe(false);
    event(['x'], '0.e.5');
    await settle();
    expect(isOver()).toBe(true);
  });

  it('is shown once a connection that is back says that it was told of it', async () => {
    const isOver = await isShown('0.e.5');
    FakeSocket.last.drop();
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    FakeSocket.last.greet('0.e.6');
    await settle();
    expect(isOver()).toBe(true);
  });

  it('is shown at once if more was heard already', async () => {
    event(['x'], '0.e.7');
    expect((await isShown('0.e.5~2.e.3'))()).toBe(true);
  });

  it('is shown when that is read which has been begun anew meanwhile', async () => {
    const flows = show('flows');
    await answer('old', ['a']);
    event(['a'], '0.e.5');
    let shown: unknown;
    void session.shown('0.e.5').then(() => {
      shown = flows.data();
    });
    await settle();
    void session.queryClient.refetchQueries();
    await settle();
    expect(shown).toBeUndefined();
    await answer('new', ['a']);
    await settle();
    expect(shown).toBe('new');
  });

  it('is shown once everything was read again because it cannot be known', async () => {
    const isOver = await isShown('0.e.5');
    FakeSocket.last.push({ type: 'resync', reason: 'slow', position: '0.e.9' });
    await settle();
    expect(isOver()).toBe(true);
  });
});

describe('a resync', () => {
  it('lets nothing be shown again that nobody shows, before it is read anew', async () => {
    const flows = show('flows');
    await answer('old', ['a']);
    flows.hide();
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: '0.e.9' });
    const again = show('flows');
    expect(again.data()).toBeUndefined();
    await answer('new', ['a']);
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.9');
    expect(again.data()).toBe('new');
  });

  it('refetches what is on screen and marks the rest', async () => {
    const hidden = show('hidden');
    await answer('hidden', ['h']);
    hidden.hide();
    show('flows');
    await answer('flows', ['a']);
    const before = network.calls.length;

    FakeSocket.last.push({ type: 'resync', reason: 'too slow' });
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows']);
    await answer('flows', ['a']);
    show('hidden');
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows', '/api/hidden']);
  });

  it('follows when the server cannot know what was missed while the socket was down', async () => {
    show('flows');
    await answer('old', ['a']);
    const before = network.calls.length;
    FakeSocket.last.drop();
    await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(2));
    FakeSocket.last.greet('0.e.1');
    await settle();
    expect(urlsAfter(before)).toEqual([]);
    FakeSocket.last.push({ type: 'resync', reason: 'unknown', position: '0.e.9' });
    await settle();
    expect(urlsAfter(before)).toEqual(['/api/flows']);
    expect(network.calls.at(-1)?.headers.get('Unstale-Position')).toBe('0.e.9');
  });
});

describe('a session', () => {
  it('leaves nothing behind when it is disposed', async () => {
    show('flows');
    await answer('secret', ['a']);
    session.dispose();
    expect(session.queryClient.getQueryCache().getAll()).toEqual([]);
    expect(FakeSocket.last.readyState).toBe(FakeSocket.CLOSED);
  });
});
