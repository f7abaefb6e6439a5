/** Local order of arrival in this tab: requests take their base from it, and what is pushed moves it on. */
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
