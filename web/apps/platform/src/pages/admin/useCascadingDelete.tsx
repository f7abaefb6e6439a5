import { isApiError } from '@unstale/client';
import type { Write } from '@unstale/client/react';
import { announce, announceFailure, confirmRisk } from '../../components/feedback';

interface Thing {
  id: string;
  name: string;
}

type Remove = Write<{ id: string; cascade: boolean }, void>;

/** Asks before deleting, and once more, with the server's own words, if the thing still has children. */
export function useCascadingDelete(remove: Remove, kind: string): (thing: Thing) => void {
  const run = (thing: Thing, cascade: boolean) =>
    remove.mutate(
      { id: thing.id, cascade },
      {
        // Said when it has left the screen, and not while it still stands there.
        onSuccess: (receipt) => void receipt.visible().then(() => announce(`“${thing.name}” was deleted.`)),
        onError: (error) => {
          if (isApiError(error, 409) && !cascade) askCascade(thing, error.detail ?? error.title);
          else announceFailure(`The ${kind} was not deleted`, error);
        },
      },
    );

  const askCascade = (thing: Thing, detail: string) =>
    confirmRisk({
      title: `Delete “${thing.name}” with everything in it?`,
      body: <>{detail} Deleting it removes all of that too, for everyone. This cannot be undone.</>,
      action: 'Delete everything',
      onConfirm: () => run(thing, true),
    });

  return (thing) =>
    confirmRisk({
      title: `Delete this ${kind}?`,
      body: `“${thing.name}” is removed for everyone.`,
      action: `Delete the ${kind}`,
      onConfirm: () => run(thing, false),
    });
}
