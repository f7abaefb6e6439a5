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
const NO_PAGES = new Set(['an import', 'approval', 'sign-out', 'inventory, search', 'inventory, page 2']);

const COUNTED = ['calls', 'readCalls', 'writeCalls', 'bytes', 'queries', 'databaseWrites', 'commits', 'mounts', 'rerenders'];

/** Reads that pages wanted, and where they were answered. */
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

function journey(steps) {
  const pages = steps.filter(isPage);
  const kinds = readsOf(steps);
  const answered = (where) => sum(Object.values(kinds).map((kind) => kind[where]));
  const total = answered('browser') + answered('server') + answered('database');
  return {
    ...Object.fromEntries(COUNTED.map((what) => [what, sum(steps.map((step) => step[what]))])),
    pages: pages.length,
    callsPerPage: sum(steps.map(({ calls }) => calls)) / pages.length,
    pageMs: sum(pages.map(({ ms }) => ms)) / pages.length,
    interactionMs: Math.max(...steps.map(({ interactionMs }) => interactionMs)),
    wanted: total,
    ...{ browser: answered('browser'), server: answered('server'), database: answered('database') },
    hitRatio: total === 0 ? 0 : 1 - answered('database') / total,
    serverHitRatio: answered('server') / Math.max(1, answered('server') + answered('database')),
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
  return { ...mediansOf(journeys), ...worst, kinds: journeys.at(-1).kinds, rounds, steps };
}

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
  console.log(all.ours.kinds);
}
