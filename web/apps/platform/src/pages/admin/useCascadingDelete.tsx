import { isApiError } from '@unstale/client';
import type { Write } from '@unstale/client/react';
import { useCallback } from 'react';
import { announce, announceFailure, confirmRisk } from '../../components/feedback';

interface Thing {
  id: string;
  name: string;
}

type Remove = Write<{ id: string; cascade: boolean }, void>['mutate'];

/**
 * Asks before deleting, and once more, with the server's own words, if the thing still has children.
 *
 * `remove` is the write's `mutate`, which stays the same while the write itself is another object with every render; so does
 * what this returns, and rows that offer it stay as they are.
 */
export function useCascadingDelete(remove: Remove, kind: string): (thing: Thing) => void {
  return useCallback(
    (thing: Thing) =>
      confirmRisk({
        title: `Delete this ${kind}?`,
        body: `“${thing.name}” is removed for everyone.`,
        action: `Delete the ${kind}`,
        onConfirm: () => run(remove, kind, thing, false),
      }),
    [remove, kind],
  );
}

function run(remove: Remove, kind: string, thing: Thing, cascade: boolean): void {
  remove(
    { id: thing.id, cascade },
    {
      // Said when it has left the screen, and not while it still stands there.
      onSuccess: (receipt) => void receipt.visible().then(() => announce(`“${thing.name}” was deleted.`)),
      onError: (error) => {
        if (!isApiError(error, 409) || cascade) return announceFailure(`The ${kind} was not deleted`, error);
        const detail = error.detail ?? error.title;
        confirmRisk({
          title: `Delete “${thing.name}” with everything in it?`,
          body: <>{detail} Deleting it removes all of that too, for everyone. This cannot be undone.</>,
          action: 'Delete everything',
          onConfirm: () => run(remove, kind, thing, true),
        });
      },
    },
  );
}
