/**
 * The running loads of this tab: identical reads share one request.
 *
 * Invariants:
 * - a flight is aborted only when its last waiter has left, and nobody came back within the same turn: a component
 *   that is unmounted and mounted again at once (StrictMode) finds its request still on its way;
 * - a waiter that leaves gets its own abort reason at once, and one impatient waiter never fails the others;
 * - a flight that is settled or aborted is never joined.
 */
interface Flight<T> {
  promise: Promise<T>;
  controller: AbortController;
  waiters: number;
}

export class Flights {
  readonly #flights = new Map<string, Flight<unknown>>();

  get size(): number {
    return this.#flights.size;
  }

  join<T>(
    key: string,
    signal: AbortSignal | undefined,
    start: (signal: AbortSignal) => Promise<T>,
    onJoined?: () => void,
  ): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const running = this.#flights.get(key) as Flight<T> | undefined;
    if (running) onJoined?.();
    return this.#wait(key, running ?? this.#start(key, start), signal);
  }

  #start<T>(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const flight: Flight<T> = { promise: start(controller.signal), controller, waiters: 0 };
    this.#flights.set(key, flight);
    const land = () => this.#forget(key, flight);
    flight.promise.then(land, land);
    return flight;
  }

  #wait<T>(key: string, flight: Flight<T>, signal: AbortSignal | undefined): Promise<T> {
    flight.waiters += 1;
    return new Promise<T>((resolve, reject) => {
      const leave = () => {
        flight.waiters -= 1;
        reject(signal?.reason);
        setTimeout(() => {
          if (flight.waiters > 0 || this.#flights.get(key) !== flight) return;
          this.#forget(key, flight);
          flight.controller.abort(signal?.reason);
        });
      };
      signal?.addEventListener('abort', leave, { once: true });
      const settled = () => signal?.removeEventListener('abort', leave);
      flight.promise.then(
        (value) => {
          settled();
          resolve(value);
        },
        (error: unknown) => {
          settled();
          reject(error);
        },
      );
    });
  }

  #forget(key: string, flight: Flight<unknown>): void {
    // Another flight may already have taken the key after an abort.
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
