/**
 * Others who work meanwhile: people of the same tenants, each with a session of their own over plain HTTP, who keep nothing themselves.
 * They go from page to page as the pages do, and now and then rename a flow of theirs.
 */
import { signedIn } from './colleague.mjs';

/** Staff of each client in the data for measuring (`demo/sized.rs`). */
const STAFF = 6;
const CLIENTS_MAX = 4;
/** How long each of them looks at a page; all of them together ask for so many pages in this time as they are. */
const PAGE_MS = 3_000;
/** Every so many pages something is written. */
const WRITES_EVERY = 20;
const PAGES = ['overview', 'flows', 'flow', 'imports', 'review', 'inventory'];

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });

/** Begins with `people` of them; they are spread over a few clients, the one that is measured first. Returns what ends them. */
export async function crowd(url, people) {
  const ending = new AbortController();
  const perClient = Math.min(STAFF, people);
  const each = [];
  for (let place = 0; place < people; place += 1) {
    const client = Math.floor(place / perClient) % CLIENTS_MAX;
    each.push(person(url, `staff${place % perClient}.client${client}@meridian.test`, place, ending.signal));
  }
  const working = await Promise.all(each);
  return async () => {
    ending.abort();
    await Promise.all(working.map((person) => person.gone));
  };
}

async function person(url, email, place, signal) {
  const call = await signedIn(url, email);
  const gone = work(call, place, signal);
  // What goes wrong is told by whoever waits for the end; until then it is no rejection that nobody handles.
  gone.catch(() => {});
  return { gone };
}

async function work(call, place, signal) {
  const get = (path) => call('GET', path);
  const { client } = await get('/context/standing');
  await get('/context-establishment/clients');
  const { items: engagements } = await get(`/context-establishment/engagements?client_id=${client.id}`);
  // Two by two in the same engagement, and nobody in the one that is measured.
  const engagement = engagements[(1 + Math.floor(place / 2)) % engagements.length];
  const query = `engagement_id=${engagement.id}`;
  // Not all of them at the same moment.
  await pause((PAGE_MS / 20) * (place % 20), signal);
  for (let page = place; !signal.aborted; page += 1) {
    const { items: flows } = await get(`/discovery/flows?${query}`);
    const flow = flows[page % flows.length];
    const { items: imports } = await get(`/imports?${query}`);
    const done = imports.find(({ status }) => status === 'completed');
    const reads = {
      overview: [`/engagements/${engagement.id}`, `/assets?${query}&page_size=0`],
      flows: [],
      flow: flow ? [`/discovery/flows/${flow.id}`, `/discovery/flows/${flow.id}/state`] : [],
      imports: [],
      review: done ? [`/field-mappings/${done.id}`, `/field-mappings/${done.id}/statistics`, '/target-attributes'] : ['/target-attributes'],
      inventory: [`/assets?${query}&page=1&page_size=50`],
    }[PAGES[page % PAGES.length]];
    for (const path of reads) await get(path);
    if (flow && page % WRITES_EVERY === WRITES_EVERY - 1) await call('PATCH', `/discovery/flows/${flow.id}`, { name: `${flow.name.split(' · ')[0]} · ${page}` });
    await pause(PAGE_MS, signal);
  }
}
