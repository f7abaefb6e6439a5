/** Medians, sums and ratios of what the journeys took. Pure. */

export const median = (values) => {
  const sorted = values.filter((value) => value !== null && value !== undefined && !Number.isNaN(value)).toSorted((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const sum = (values) => values.reduce((total, value) => total + value, 0);
const isPage = ({ name, ms }) => ms !== null && !NO_PAGES.has(name);
/** Steps that are not the showing of a page: what one does on it, or before it. */
const NO_PAGES = new Set(['sign-in', 'an import', 'approval', 'sign-out']);

/** What a colleague's write leads to is nothing that the former path would do: it never hears of it. */
const COLLEAGUE = 'a colleague writes';

const COUNTED = ['calls', 'readCalls', 'writeCalls', 'bytes', 'queries', 'databaseWrites', 'commits', 'mounts', 'rerenders'];

/** Reads that pages wanted, and where they were answered: by the browser, as a whole by the server, or put together. */
function readsOf(steps) {
  const kinds = {};
  const of = (kind) => {
    kinds[kind] ??= { browser: 0, server: 0, database: 0 };
    return kinds[kind];
  };
  for (const { observed, reads } of steps) {
    for (const { kind, held } of observed) if (held) of(kind).browser += 1;
    for (const { kind, hit } of reads) of(kind)[hit ? 'server' : 'database'] += 1;
  }
  return kinds;
}

/** By entity: what was read from the database (`loads`), or what look-ups of the server's cache found (`hits`, `misses`). */
function countedOf(steps, what) {
  const all = {};
  for (const step of steps) for (const [entity, count] of Object.entries(step[what])) all[entity] = (all[entity] ?? 0) + count;
  return all;
}

const share = (part, rest) => (part + rest === 0 ? 0 : part / (part + rest));

function journey(steps) {
  const pages = steps.filter(isPage);
  const own = steps.filter(({ name }) => !name.endsWith(COLLEAGUE));
  const kinds = readsOf(steps);
  const answered = (where) => sum(Object.values(kinds).map((kind) => kind[where]));
  const wanted = answered('browser') + answered('server') + answered('database');
  const found = answered('browser') + answered('server');
  const repeated = sum(steps.map(({ reads }) => reads.filter(({ hit, again }) => again && !hit).length));
  const [loads, hits, misses] = ['loads', 'hits', 'misses'].map((what) => sum(steps.flatMap((step) => Object.values(step[what]))));
  return {
    ...Object.fromEntries(COUNTED.map((what) => [what, sum(steps.map((step) => step[what]))])),
    pages: pages.length,
    ...Object.fromEntries(['calls', 'queries', 'rerenders'].map((what) => [`${what}Own`, sum(own.map((step) => step[what]))])),
    shownCalls: sum(pages.map(({ calls }) => calls)),
    shownQueries: sum(pages.map(({ queries }) => queries)),
    shownRerenders: sum(pages.map(({ rerenders }) => rerenders)),
    callsPerPage: sum(pages.map(({ calls }) => calls)) / pages.length,
    queriesPerPage: sum(pages.map(({ queries }) => queries)) / pages.length,
    rerendersPerPage: sum(pages.map(({ rerenders }) => rerenders)) / pages.length,
    pageMs: sum(pages.map(({ ms }) => ms)) / pages.length,
    interactionMs: Math.max(...steps.map(({ interactionMs }) => interactionMs)),
    wanted,
    loads,
    heldByBrowser: answered('browser'),
    wholeAnswers: answered('server'),
    // What operators know as hit ratio; the same with what was not even asked for; what read nothing for any of its parts; and
    // the share of what could be found: an answer that was not given before, or has changed since, is nobody's hit.
    serverRatio: share(hits, misses),
    hitRatio: share(answered('browser') + hits, misses),
    strictRatio: wanted === 0 ? 0 : Math.max(0, 1 - loads / wanted),
    foundRatio: share(found, repeated),
    compared: sum(steps.map(({ compared }) => compared)),
    staleAtFirst: sum(steps.map(({ staleAtFirst }) => staleAtFirst.length)),
    stale: sum(steps.map(({ stale }) => stale.length)),
    kinds,
  };
}

const mediansOf = (objects) =>
  Object.fromEntries(
    Object.keys(objects[0])
      .filter((key) => typeof objects[0][key] === 'number' || objects[0][key] === null)
      .map((key) => [key, median(objects.map((each) => each[key]))]),
  );

/** Of all runs of a path: the journey as a whole, each round, each step. */
export function summarise(runs) {
  const steps = runs[0].map(({ name, round }, place) => {
    const each = runs.map((run) => run[place]);
    return { name, round, isPage: isPage(each[0]), ...mediansOf(each), stale: Math.max(...each.map(({ stale }) => stale.length)), staleAtFirst: Math.max(...each.map(({ staleAtFirst }) => staleAtFirst.length)) };
  });
  const journeys = runs.map(journey);
  const rounds = [1, 2].map((round) => mediansOf(runs.map((run) => journey(run.filter((step) => step.round === round)))));
  const worst = { stale: Math.max(...journeys.map(({ stale }) => stale)), staleAtFirst: Math.max(...journeys.map(({ staleAtFirst }) => staleAtFirst)) };
  const [{ ttfb, lcp }] = steps;
  return { ...mediansOf(journeys), ttfb, lcp, ...worst, kinds: journeys.at(-1).kinds, ...lookUps(runs.at(-1)), rounds, steps };
}

const lookUps = (steps) => Object.fromEntries(['loads', 'hits', 'misses'].map((what) => [`${what}Of`, countedOf(steps, what)]));

/** How much less of something: 0.8 is a fifth of it. */
export const saved = (before, after) => (before === 0 ? 0 : 1 - after / before);

if (import.meta.main) {
  const { readFile } = await import('node:fs/promises');
  const { paths } = JSON.parse(await readFile(process.argv[2], 'utf8'));
  const all = Object.fromEntries(Object.entries(paths).map(([name, runs]) => [name, summarise(runs)]));
  const names = Object.keys(all);
  const show = (value) => (value === null || value === undefined ? '-' : Number.isInteger(value) ? value : value.toFixed(2));
  for (const key of Object.keys(all.former).filter((each) => typeof all.former[each] === 'number')) {
    console.log(key.padEnd(16), ...names.map((name) => String(show(all[name][key])).padStart(10)), (100 * saved(all.former[key], all.ours[key])).toFixed(0).padStart(6));
  }
  for (const [place, step] of all.former.steps.entries()) {
    const cells = ['ms', 'calls', 'queries', 'rerenders', 'mounts', 'staleAtFirst', 'stale'].map((key) => names.map((name) => show(all[name].steps[place][key])).join('/'));
    console.log(`${step.round} ${step.name}`.padEnd(40), cells.join('  '));
  }
  console.log(all.ours.kinds, all.ours.loadsOf);
}
