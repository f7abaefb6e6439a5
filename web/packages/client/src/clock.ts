/**
 * Local order of arrival in this tab: answers of writes and pushed events draw from one counter.
 * Positions are opaque and cannot be compared here, so "the newer of two" means "the one that arrived later".
 */
export class LocalClock {
  #tick = 0;

  now(): number {
    return this.#tick;
  }

  next(): number {
    this.#tick += 1;
    return this.#tick;
  }
}

/** Something moved on the server: what a later read must have seen, and when we heard of it. */
export interface Move {
  position: string | undefined;
  tick: number;
}
