import type { Preparing } from '../src/session/preparing';

export * from '../src/session/preparing';

/** A page begins when it is gone to. */
export const preparing: Preparing = {
  store: { get: () => null, set: () => {}, subscribe: () => () => {} },
  when: () => {},
  keepFor: () => {},
  drop: () => {},
};
