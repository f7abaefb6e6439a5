/**
 * Code that was not asked for yet, loaded while there is nothing better to do: one part after the other, each when the
 * browser is idle and nothing is under way that somebody waits for. Does nothing for who asked their browser to save data.
 *
 * It shows nothing and reads no data; what cannot be loaded is left to whoever asks for it.
 */
type Load = () => Promise<unknown>;

interface Idle {
  requestIdleCallback?: (callback: () => void) => number;
}

/** After something was under way, and where the browser does not tell when it is idle. */
const LOOK_AGAIN_MS = 200;

/** Returns what ends it. */
export function loadAhead(parts: readonly Load[], isBusy: () => boolean = () => false): () => void {
  const { connection } = globalThis.navigator as Navigator & { connection?: { saveData?: boolean } };
  let isEnded = connection?.saveData === true;

  const next = (place: number): void => {
    const load = parts[place];
    if (isEnded || !load) return;
    whenIdle(() => {
      if (isEnded) return;
      if (isBusy()) setTimeout(() => next(place), LOOK_AGAIN_MS);
      // One that fails will fail again: the server is away, or has other parts by now.
      else
        load().then(
          () => next(place + 1),
          () => {},
        );
    });
  };
  next(0);
  return () => {
    isEnded = true;
  };
}

function whenIdle(act: () => void): void {
  const { requestIdleCallback } = globalThis as unknown as Idle;
  if (requestIdleCallback) requestIdleCallback(act);
  else setTimeout(act, LOOK_AGAIN_MS);
}
