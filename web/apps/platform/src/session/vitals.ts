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

/** Calls that this session had made when the page that is shown was asked for; none before the first. */
let callsBefore: number | undefined;
let isShown = false;

function callsSoFar(): number {
  const { auth } = unstale.store.get();
  return auth.status === 'signed-in' ? auth.session.activity.counters.requests : 0;
}

/** From the moment a page is asked for until it shows its data; its calls until the next one is asked for. */
export function pageAsked(): void {
  if (isShown) {
    const calls = callsSoFar();
    // Another session counts anew.
    if (callsBefore !== undefined)
      vitals?.count('page-calls', calls < callsBefore ? calls : calls - callsBefore);
    callsBefore = calls;
    isShown = false;
  }
  callsBefore ??= callsSoFar();
  vitals?.begin('page-shown');
}

export function pageShown(): void {
  isShown = true;
  vitals?.end('page-shown');
}
