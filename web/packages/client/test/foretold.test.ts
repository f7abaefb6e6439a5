import { QueryClient } from '@tanstack/react-query';
import { beforeEach, describe, expect, it } from 'vitest';
import { createForetelling, type Foretelling } from '../src/react/foretold.ts';
import { settle } from './support.ts';

const queryKey = ['list'];
/** What will be, and not what to do: made twice it is there once. */
const adding = (item: string) => ({
  queryKey,
  update: (before: unknown) => [...new Set([...(before as string[]), item])],
});

let queryClient: QueryClient;
let foretelling: Foretelling;
/** The position of what the query holds. */
let held: string | undefined;

beforeEach(() => {
  held = undefined;
  queryClient = new QueryClient();
  foretelling = createForetelling(queryClient, (_query, position) => held !== undefined && held >= position);
  queryClient.getQueryCache().subscribe(foretelling.heard);
});

const shown = () => queryClient.getQueryData(queryKey);

/** A read that is answered, or called off, when the test says so. */
function read() {
  let answer = (_data: string[]) => {};
  const queryFn = ({ signal }: { signal: AbortSignal }) =>
    new Promise<string[]>((resolve, reject) => {
      answer = resolve;
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  const done = queryClient.fetchQuery({ queryKey, queryFn, retry: false }).catch(() => {});
  return {
    answer: async (data: string[], position?: string) => {
      held = position;
      answer(data);
      await done;
    },
    callOff: async () => {
      await queryClient.cancelQueries({ queryKey });
      await done;
    },
  };
}

describe('the change of a write that is not answered', () => {
  it('is made of every answer anew, after those of the writes before it', async () => {
    await read().answer(['old']);
    foretelling.begin([adding('a')]);
    foretelling.begin([adding('b')]);
    expect(shown()).toEqual(['old', 'a', 'b']);
    await read().answer(['new']);
    expect(shown()).toEqual(['new', 'a', 'b']);
  });

  it('is made of a first answer, too, and until then of nothing', async () => {
    foretelling.begin([adding('a')]);
    expect(shown()).toBeUndefined();
    await read().answer(['first']);
    expect(shown()).toEqual(['first', 'a']);
  });

  it('makes nothing look newer than it is', async () => {
    await read().answer(['old']);
    await queryClient.invalidateQueries({ queryKey });
    const before = queryClient.getQueryState(queryKey);
    foretelling.begin([adding('a')]);
    expect(queryClient.getQueryState(queryKey)).toEqual({ ...before, data: ['old', 'a'] });
  });
});

describe('the change of a write that is refused', () => {
  it('goes, and nothing else', async () => {
    await read().answer(['old']);
    const first = foretelling.begin([adding('a')]);
    foretelling.begin([adding('b')]);
    await read().answer(['new']);
    first.refused();
    expect(shown()).toEqual(['new', 'b']);
  });

  it('leaves the very object that the server had said', async () => {
    await read().answer(['old']);
    const before = shown();
    foretelling.begin([adding('a')]).refused();
    expect(shown()).toBe(before);
  });

  it('does not come back with what a read began with that is called off', async () => {
    await read().answer(['old']);
    const write = foretelling.begin([adding('a')]);
    const { callOff } = read();
    write.refused();
    await callOff();
    expect(shown()).toEqual(['old']);
  });

  it('does not bring back what was forgotten meanwhile', async () => {
    await read().answer(['old']);
    const write = foretelling.begin([adding('a')]);
    queryClient.getQueryCache().find({ queryKey })?.setState({ data: undefined, status: 'pending' });
    write.refused();
    expect(shown()).toBeUndefined();
  });
});

it('is forgotten with the session: whatever ends after that shows nothing', async () => {
  await read().answer(['secret']);
  const write = foretelling.begin([adding('a')]);
  foretelling.close();
  queryClient.setQueryData(queryKey, ['else']);
  write.refused();
  expect(shown()).toEqual(['else']);
});

describe('the change of a write that is done', () => {
  it('stays over what was asked for before it, and goes with what has seen it', async () => {
    await read().answer(['old']);
    const write = foretelling.begin([adding('a')]);
    const early = read();
    write.done('5', []);
    await early.answer(['old'], '4');
    expect(shown()).toEqual(['old', 'a']);
    await read().answer(['A'], '5');
    expect(shown()).toEqual(['A']);
  });

  it('goes at once if what is held has seen it', async () => {
    await read().answer(['old']);
    const write = foretelling.begin([adding('a')]);
    await read().answer(['A'], '5');
    expect(shown()).toEqual(['A', 'a']);
    write.done('5', []);
    expect(shown()).toEqual(['A']);
  });

  it('goes with the next answer if the server tells no positions', async () => {
    await read().answer(['old']);
    const write = foretelling.begin([adding('a')]);
    const early = read();
    write.done(undefined, []);
    await early.answer(['A']);
    expect(shown()).toEqual(['A']);
  });

  it('is what is held if no read is on its way: nobody makes it again', async () => {
    await read().answer(['old']);
    foretelling.begin([adding('a')]).done('5', []);
    expect(shown()).toEqual(['old', 'a']);
    queryClient.setQueryData(queryKey, ['else']);
    await settle();
    expect(shown()).toEqual(['else']);
  });

  it('has what the answer says made after it, also of what was not foretold', async () => {
    await read().answer(['old']);
    foretelling.begin([]).done('5', [adding('said')]);
    expect(shown()).toEqual(['old', 'said']);
    const other = foretelling.begin([adding('b')]);
    foretelling.begin([adding('c')]).done('6', [adding('C')]);
    other.refused();
    expect(shown()).toEqual(['old', 'said', 'c', 'C']);
  });
});
