import { useCorrectValues, useLeftOf, useUndoCorrections } from '../../api/cleansing';
import { useUserContext } from '../../api/queries';
import type { Correction } from '../../api/types';
import { announce, announceFailure, announceReversible } from '../../components/feedback';
import { plural } from '../../lib/format';

interface Outcome {
  onDone: () => void;
  onRefused: () => void;
}

/** Taking corrections back, and saying what became of it. */
export function useUndo(importId: string) {
  const { mutateAsync, isPending } = useUndoCorrections(importId);
  const undo = (ids: readonly string[]) => {
    if (ids.length === 0) return announce('These corrections have been undone already.');
    // A promise each, and not the callbacks of `mutate`, of which a second call silences the first one's.
    mutateAsync(ids).then(
      ({ data }) =>
        announce(
          `${plural(data.corrections.length, 'correction')} undone: the file’s values are shown again.`,
        ),
      (error) =>
        announceFailure(ids.length > 1 ? 'Not all was undone' : 'The correction was not undone', error),
    );
  };
  return { undo, busy: isPending };
}

/** Correcting values, saying so, and offering the way back. */
export function useCorrect(importId: string) {
  const userId = useUserContext().data?.user.id ?? null;
  const { mutateAsync, isPending } = useCorrectValues(importId, userId);
  const { undo } = useUndo(importId);
  const leftOf = useLeftOf(importId);

  const correct = (corrections: readonly Correction[], { onDone, onRefused }: Outcome) => {
    mutateAsync(corrections).then(
      ({ data, visible }) => {
        onDone();
        announceReversible(
          `${plural(corrections.length, 'value')} corrected in ${plural(data.rows, 'row')}.`,
          () => void visible().then(() => undo(leftOf(data.corrections))),
        );
      },
      (error) => {
        onRefused();
        announceFailure(
          corrections.length > 1 ? 'Not all values were corrected' : 'The value was not corrected',
          error,
        );
      },
    );
  };
  return { correct, busy: isPending };
}
