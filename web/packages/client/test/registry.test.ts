import { describe, expect, it } from 'vitest';
import { GroupRegistry, parseCacheGroups } from '../src/index.ts';

describe('the group registry', () => {
  it('finds exactly the queries that hold an invalidated group', () => {
    const registry = new GroupRegistry();
    registry.hold('flows', ['a', 'b']);
    registry.hold('assets', ['b', 'c']);
    registry.hold('users', ['d']);
    expect(registry.invalidate(['b'], 'p1')).toEqual(new Set(['flows', 'assets']));
    expect(registry.invalidate(['d', 'x'], 'p2')).toEqual(new Set(['users']));
    expect(registry.invalidate(['x'], 'p3')).toEqual(new Set());
  });

  it('forgets the groups of an older answer and of a released query', () => {
    const registry = new GroupRegistry();
    registry.hold('flows', ['a']);
    registry.hold('flows', ['b']);
    expect(registry.invalidate(['a'], 'p1').size).toBe(0);
    registry.release('flows');
    expect(registry.invalidate(['b'], 'p2').size).toBe(0);
  });

  it('asks of the next read the position of the newest event about its groups', () => {
    const registry = new GroupRegistry();
    registry.hold('flows', ['a', 'b']);
    expect(registry.required('flows')).toBeUndefined();
    registry.invalidate(['b'], 'p1');
    registry.invalidate(['a'], 'p2');
    registry.invalidate(['elsewhere'], 'p3');
    expect(registry.required('flows')).toBe('p2');
  });

  it('notices an event that overtook the answer it concerns', () => {
    const registry = new GroupRegistry();
    const base = registry.base();
    registry.invalidate(['a'], 'p1');
    expect(registry.movedSince(base, ['a'])?.position).toBe('p1');
    expect(registry.movedSince(base, ['b'])).toBeUndefined();
    expect(registry.movedSince(registry.base(), ['a'])).toBeUndefined();
  });

  it('takes everything read before as moved when it cannot be known what changed', () => {
    const registry = new GroupRegistry();
    const base = registry.base();
    registry.raiseFloor('p9');
    expect(registry.movedSince(base, ['never seen'])?.position).toBe('p9');
    expect(registry.movedSince(registry.base(), ['never seen'])).toBeUndefined();
  });

  it('stays bounded by raising the floor, never by forgetting a move', () => {
    const registry = new GroupRegistry({ clocksMax: 2 });
    const base = registry.base();
    for (const group of ['a', 'b', 'c']) registry.invalidate([group], `at-${group}`);
    expect(registry.movedSince(base, ['a'])).toBeDefined();
    expect(registry.movedSince(base, ['c'])?.position).toBe('at-c');
    expect(registry.movedSince(registry.base(), ['a'])).toBeUndefined();
  });
});

describe('Cache-Groups', () => {
  it.each([
    [null, []],
    ['', []],
    ['"a1"', ['a1']],
    ['"a1", "b2"', ['a1', 'b2']],
    ['"a1";x=1,"b2"', ['a1', 'b2']],
    ['"with \\"quote\\""', ['with "quote"']],
    ['garbage', []],
    ['token, "a";x="1,2";y , "b" ,1.5,"c"', ['a', 'b', 'c']],
    ['"a", "b"x, "c"', ['a']],
    ['"a\\x"', []],
    ['"open', []],
  ])('%j reads as %j', (header, groups) => {
    expect(parseCacheGroups(header)).toEqual(groups);
  });

  it.each([
    ['parameters', `"a"${';'.repeat(10_000)}"`],
    ['spaces', `"a"${' '.repeat(10_000)}"`],
    ['members', `${'"a";x'.repeat(3_000)}"`],
  ])('a header of many %s that ends badly is done with soon', (_, header) => {
    expect(parseCacheGroups(header)).toEqual([]);
  });
});
