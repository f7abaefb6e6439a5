import { describe, expect, it } from 'vitest';
import {
  emptySelection,
  extend,
  toggle,
  toggleAll,
  toggleSome,
  visibleSelection,
} from '../src/lib/selection';

const shown = ['a', 'b', 'c', 'd', 'e'];
const ids = (selection: { ids: ReadonlySet<string> }) => [...selection.ids].sort();

describe('selection', () => {
  it('toggles one row and remembers it as the anchor', () => {
    const once = toggle(emptySelection, 'b');
    expect(ids(once)).toEqual(['b']);
    expect(once.anchor).toBe('b');
    expect(ids(toggle(once, 'b'))).toEqual([]);
  });

  it('extends from the anchor in either direction, keeping what was selected', () => {
    const from = toggle(toggle(emptySelection, 'e'), 'b');
    expect(ids(extend(from, 'd', shown))).toEqual(['b', 'c', 'd', 'e']);
    expect(ids(extend(toggle(emptySelection, 'd'), 'b', shown))).toEqual(['b', 'c', 'd']);
  });

  it('extends again from the same anchor', () => {
    const first = extend(toggle(emptySelection, 'b'), 'c', shown);
    expect(first.anchor).toBe('b');
    expect(ids(extend(first, 'a', shown))).toEqual(['a', 'b', 'c']);
  });

  it('toggles if there is no anchor, or a filter hides it', () => {
    expect(ids(extend(emptySelection, 'c', shown))).toEqual(['c']);
    expect(ids(extend(toggle(emptySelection, 'hidden'), 'c', shown))).toEqual(['c', 'hidden']);
  });

  it('selects all shown rows, then none', () => {
    const all = toggleAll(toggle(emptySelection, 'b'), shown);
    expect(ids(all)).toEqual(shown);
    expect(ids(toggleAll(all, shown))).toEqual([]);
    expect(ids(toggleAll(emptySelection, []))).toEqual([]);
  });

  it('selects some rows beside the others, then none of them', () => {
    const others = toggle(emptySelection, 'e');
    const some = toggleSome(toggle(others, 'a'), ['a', 'b']);
    expect(ids(some)).toEqual(['a', 'b', 'e']);
    expect(ids(toggleSome(some, ['a', 'b']))).toEqual(['e']);
  });

  it('acts only on rows that are shown, in their order', () => {
    const selection = toggle(toggle(toggle(emptySelection, 'e'), 'hidden'), 'a');
    expect(visibleSelection(selection, shown)).toEqual(['a', 'e']);
  });
});
