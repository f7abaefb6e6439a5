import { type CoherentSession, createStore, type Store } from '@unstale/client/react';

/**
 * Where somebody is about to go: the one address whose page is prepared behind the one on screen (`shell/Frames`).
 *
 * Invariants: never more than one; of the session that it was prepared for and of no other; gone some seconds later if
 * nobody went there, and with another client, engagement or session. It renders nothing itself.
 */
export interface Prepared {
  readonly to: string;
  readonly session: CoherentSession;
  /** The one that it is about, if it is about one: chosen already, or about to be. */
  readonly engagementId: string | null;
}

export interface Preparing {
  readonly store: Store<Prepared | null>;
  /** Once `ready` resolves, and unless somebody meanwhile turns to something else. */
  when(ready: Promise<unknown>, where: Prepared): void;
  /** Drops what is about another engagement. */
  keepFor(engagementId: string | null): void;
  drop(): void;
}

/** What a pointer merely passes on its way is not worth the work. */
const REST_MS = 40;
/** Who has not pressed by then was reading. */
const LIFETIME_MS = 10_000;

export function createPreparing(mayPrepare: () => boolean = isUnhurried): Preparing {
  const store = createStore<Prepared | null>(null);
  let turn = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function drop(): void {
    turn += 1;
    clearTimeout(timer);
    store.set(null);
  }

  return {
    store,
    drop,
    keepFor: (engagementId) => {
      if (store.get()?.engagementId !== engagementId) drop();
    },
    when: (ready, where) => {
      if (!mayPrepare()) return;
      const mine = ++turn;
      const rested = new Promise((resolve) => setTimeout(resolve, REST_MS));
      Promise.all([ready, rested]).then(
        () => {
          if (mine !== turn) return;
          clearTimeout(timer);
          timer = setTimeout(drop, LIFETIME_MS);
          // The same once more, as when a button that was pointed at takes the focus, changes nothing.
          store.set((before) => (before && isSame(before, where) ? before : where));
        },
        // Code that cannot be loaded: whoever goes there is told.
        () => {},
      );
    },
  };
}

const isSame = (a: Prepared, b: Prepared): boolean =>
  a.to === b.to && a.session === b.session && a.engagementId === b.engagementId;

/** Fingers press what they touch: there is no time in between, and little to spare. */
function isUnhurried(): boolean {
  const { connection } = navigator as Navigator & { connection?: { saveData?: boolean } };
  return connection?.saveData !== true && matchMedia('(hover: hover) and (pointer: fine)').matches;
}

export const preparing = createPreparing();
