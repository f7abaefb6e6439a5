import { describe, expect, it } from 'vitest';
import { joinPositions, reached } from '../src/position.ts';

describe('the join of two positions', () => {
  it.each([
    [undefined, undefined, undefined],
    [undefined, '0.e.1', '0.e.1'],
    ['0.e.1', undefined, '0.e.1'],
    ['', '0.e.1', '0.e.1'],
    ['0.e.a', '0.e.9', '0.e.a'],
    ['0.e.9', '0.e.a', '0.e.a'],
    ['0.e.ff', '0.e.100', '0.e.100'],
    ['0.e.20000000000001', '0.e.20000000000000', '0.e.20000000000001'],
    ['0.e.1', '1.e.2', '0.e.1~1.e.2'],
    ['0.e.5~1.e.2', '1.e.3~2.e.1', '0.e.5~1.e.3~2.e.1'],
  ])('%j and %j: of each partition the newest', (one, other, joined) => {
    expect(joinPositions(one, other)).toBe(joined);
  });

  it('has both where epochs differ, and at most two of a partition', () => {
    expect(joinPositions('0.e.5', '0.f.1')).toBe('0.e.5~0.f.1');
    expect(joinPositions('0.e.5~1.e.1~0.f.1', '0.a.3')).toBe('1.e.1~0.f.1~0.a.3');
    expect(joinPositions('0.e.5~0.f.1', '0.f.2')).toBe('0.e.5~0.f.2');
    expect(joinPositions('0.e.5~0.f.1', '0.e.6')).toBe('0.e.6~0.f.1');
  });
});

describe('what a position has reached of another', () => {
  it.each([
    [undefined, '0.e.1', [false]],
    ['0.e.1', '0.e.1', [true]],
    ['0.e.10', '0.e.f', [true]],
    ['0.e.f', '0.e.10', [false]],
    ['0.f.5', '0.e.1', [false]],
    ['1.e.5', '0.e.1', [false]],
    ['0.e.5~0.f.1', '0.f.1', [true]],
    ['3.1.7', '2.1.5~3.1.7', [false, true]],
    ['2.1.5~3.1.7', '3.1.6', [true]],
    ['2.1.5', '', []],
  ])('%j of %j: told part by part', (position, of, parts) => {
    expect(reached(position, of)).toEqual(parts);
  });
});
