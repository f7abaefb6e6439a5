/**
 * Positions in the server's log. Their text is a set of `partition.epoch.sequence`, hexadecimal, joined by `~`; it is
 * written and compared as `PositionSet` of the engine has it. Sequences of different epochs cannot be compared, and which of
 * two epochs is the later nobody can tell.
 */
interface Part {
  /** Partition and epoch: within both, sequences count on. */
  place: string;
  sequence: string;
}

/** A partition of which more epochs are named is asked of the store anyway, so naming more would say nothing more. */
const EPOCHS_MAX = 2;

function partsOf(set: string | undefined): Part[] {
  return (set ? set.split('~') : []).map((text) => {
    const end = text.lastIndexOf('.');
    return { place: text.slice(0, end), sequence: text.slice(end + 1) };
  });
}

/** Numbers of up to 64 bits, which JavaScript's would round. They have no leading zeros. */
const isLess = (a: string, b: string) => (a.length === b.length ? a < b : a.length < b.length);

const partitionOf = (place: string) => place.slice(0, place.indexOf('.'));

/** What has seen this has seen both: of each partition and epoch the newest. */
export function joinPositions(one: string | undefined, other: string | undefined): string | undefined {
  if (!one || !other || one === other) return one || other;
  const newest = new Map<string, string>();
  for (const { place, sequence } of [...partsOf(one), ...partsOf(other)]) {
    const known = newest.get(place);
    if (known === undefined || isLess(known, sequence)) newest.set(place, sequence);
    const epochs = [...newest.keys()].filter((held) => partitionOf(held) === partitionOf(place));
    if (epochs.length > EPOCHS_MAX) newest.delete(epochs[0] as string);
  }
  return [...newest].map(([place, sequence]) => `${place}.${sequence}`).join('~');
}

/** Of each part of `of`, whether `position` has reached it. */
export function reached(position: string | undefined, of: string): boolean[] {
  const known = new Map(partsOf(position).map(({ place, sequence }) => [place, sequence]));
  return partsOf(of).map(({ place, sequence }) => {
    const newest = known.get(place);
    return newest !== undefined && !isLess(newest, sequence);
  });
}
