/** Each read is a request of its own. */
export class Flights {
  readonly size = 0;

  join<T>(
    _key: string,
    signal: AbortSignal | undefined,
    start: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return start(signal ?? new AbortController().signal);
  }
}
