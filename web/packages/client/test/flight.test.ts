import { describe, expect, it, vi } from 'vitest';
import { Flights } from '../src/flight.ts';
import { settle } from './support.ts';

function pending<T>() {
  const signals: AbortSignal[] = [];
  let land: (value: T) => void = () => {};
  let crash: (error: unknown) => void = () => {};
  const start = vi.fn((signal: AbortSignal) => {
    signals.push(signal);
    return new Promise<T>((resolve, reject) => {
      land = resolve;
      crash = reject;
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  });
  return { start, signals, land: (value: T) => land(value), crash: (error: unknown) => crash(error) };
}

describe('flights', () => {
  it('let identical reads share one load', async () => {
    const flights = new Flights();
    const load = pending<string>();
    const waiting = [1, 2, 3].map(() => flights.join('a', undefined, load.start));
    load.land('value');
    expect(await Promise.all(waiting)).toEqual(['value', 'value', 'value']);
    expect(load.start).toHaveBeenCalledOnce();
    expect(flights.size).toBe(0);
  });

  it('keep different reads apart', () => {
    const flights = new Flights();
    const load = pending<string>();
    void flights.join('a', undefined, load.start);
    void flights.join('b', undefined, load.start);
    expect(load.start).toHaveBeenCalledTimes(2);
  });

  it('go on while anybody waits', async () => {
    const flights = new Flights();
    const load = pending<string>();
    const impatient = new AbortController();
    const leaving = flights.join('a', impatient.signal, load.start);
    const staying = flights.join('a', undefined, load.start);
    impatient.abort(new Error('gone'));
    await expect(leaving).rejects.toThrow('gone');
    expect(load.signals[0]?.aborted).toBe(false);
    load.land('value');
    expect(await staying).toBe('value');
  });

  it('are aborted when the last waiter leaves, and are then not joined again', async () => {
    const flights = new Flights();
    const load = pending<string>();
    const controllers = [new AbortController(), new AbortController()];
    const waiting = controllers.map(({ signal }) => flights.join('a', signal, load.start));
    controllers[0]?.abort();
    expect(load.signals[0]?.aborted).toBe(false);
    controllers[1]?.abort();
    await Promise.allSettled(waiting);
    await settle();
    expect(load.signals[0]?.aborted).toBe(true);

    const again = flights.join('a', undefined, load.start);
    expect(load.start).toHaveBeenCalledTimes(2);
    load.land('new');
    expect(await again).toBe('new');
  });

  it('go on for who leaves and comes back in the same turn, as StrictMode does', async () => {
    const flights = new Flights();
    const load = pending<string>();
    const first = new AbortController();
    const leaving = flights.join('a', first.signal, load.start);
    first.abort(new Error('unmounted'));
    const again = flights.join('a', new AbortController().signal, load.start);
    await expect(leaving).rejects.toThrow('unmounted');
    await settle();
    load.land('value');
    expect(await again).toBe('value');
    expect(load.start).toHaveBeenCalledOnce();
  });

  it('are forgotten after a failure, so that the next read tries again', async () => {
    const flights = new Flights();
    const load = pending<string>();
    const failing = flights.join('a', undefined, load.start);
    load.crash(new Error('down'));
    await expect(failing).rejects.toThrow('down');
    void flights.join('a', undefined, load.start).catch(() => {});
    expect(load.start).toHaveBeenCalledTimes(2);
  });

  it('do not start for a reader that has already left', async () => {
    const flights = new Flights();
    const load = pending<string>();
    await expect(flights.join('a', AbortSignal.abort(new Error('left')), load.start)).rejects.toThrow('left');
    expect(load.start).not.toHaveBeenCalled();
  });
});
