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

/** From the moment a page is asked for until it shows its data. */
export const pageAsked = () => vitals?.begin('page-shown');
export const pageShown = () => vitals?.end('page-shown');
