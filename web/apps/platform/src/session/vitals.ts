import { reportVitals, type Vitals } from '@unstale/client/vitals';
import { API_BASE, unstale } from './session';

/** How fast the pages are, told to the server. Before anybody is signed in nothing is measured. */
let vitals: Vitals | undefined;

export function startVitals(): void {
  const { store } = unstale;
  const start = () => {
    if (vitals || store.get().auth.status !== 'signed-in') return;
    vitals = reportVitals({
      url: `${API_BASE}/telemetry/vitals`,
      headers: (): Record<string, string> => {
        const { tenantId } = store.get().context;
        return tenantId ? { 'X-Client-Account-Id': tenantId } : {};
      },
    });
  };
  store.subscribe(start);
  start();
}

/** What a session has counted so far. */
interface Counts {
  calls: number;
  renders: number;
}

/** When the page that is shown was asked for; none before the first. */
let before: Counts | undefined;
let isShown = false;

function countsSoFar(): Counts {
  const { auth } = unstale.store.get();
  if (auth.status !== 'signed-in') return { calls: 0, renders: 0 };
  const { requests: calls, renders } = auth.session.activity.counters;
  return { calls, renders };
}

/** From the moment a page is asked for until it shows its data; its calls and renders until the next one is asked for. */
export function pageAsked(): void {
  if (isShown) {
    const counts = countsSoFar();
    if (before) {
      // Another session counts anew.
      const { calls, renders } = counts.calls < before.calls ? { calls: 0, renders: 0 } : before;
      vitals?.count('page-calls', counts.calls - calls);
      vitals?.count('page-renders', counts.renders - renders);
    }
    before = counts;
    isShown = false;
  }
  before ??= countsSoFar();
  vitals?.begin('page-shown');
}

export function pageShown(): void {
  isShown = true;
  vitals?.end('page-shown');
}
