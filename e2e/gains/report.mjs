/**
 * `node gains/report.mjs <folder of run.mjs> <docs folder>`: the charts, and the tables between the marks of gains.md.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { answered, overview, perStep, photograph } from './charts.mjs';
import { saved, summarise } from './summary.mjs';

const [folder, docs] = process.argv.slice(2);
const read = async (name) => JSON.parse(await readFile(path.join(folder, `${name}.json`), 'utf8'));
const raw = await read('gains');
const { former, ours, redis } = Object.fromEntries(Object.entries(raw.paths).map(([name, runs]) => [name, summarise(runs)]));

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const whole = (value) => number.format(value);
const one = (value) => value.toFixed(1);
/** A busy machine may tell a time too late to be seen. */
const ms = (value) => (value === null ? '–' : `${whole(value)} ms`);
const kb = (value) => `${whole(value / 1000)} kB`;
const percent = (value) => `${Math.round(100 * value)} %`;
const less = (before, after) => (before === null || after === null ? '' : `${after <= before ? '−' : '+'}${Math.abs(Math.round(100 * saved(before, after)))} %`);

const FIGURES = [
  ['API calls for a page, mean', 'callsPerPage', one, 0.8],
  ['statements for a page, mean', 'queriesPerPage', one, 0.8],
  ['until a page shows its data, mean', 'pageMs', ms, 0.5],
  ['rendered again on a page, mean', 'rerendersPerPage', whole, 0.6],
  ['hit ratio: look-ups of the server’s cache', 'serverRatio', percent],
  ['… with what the browser held', 'hitRatio', percent],
  ['… strict: no part read from the database', 'strictRatio', percent],
  ['… of reads whose answer was neither new nor changed', 'foundRatio', percent],
  ['stale values on screen', 'stale', whole, 1],
  ['stale values at first sight', 'staleAtFirst', whole],
  ['the whole journey: API calls', 'calls', whole],
  ['… without what a colleague causes', 'callsOwn', whole],
  ['… bytes of answers and events', 'bytes', kb],
  ['… statements that read', 'queries', whole],
  ['… without what a colleague causes', 'queriesOwn', whole],
  ['… statements that write', 'databaseWrites', whole],
  ['… components rendered again', 'rerenders', whole],
  ['… without what a colleague causes', 'rerendersOwn', whole],
  ['… components mounted', 'mounts', whole],
  ['… reads that pages wanted', 'wanted', whole],
  ['longest interaction (INP)', 'interactionMs', ms],
  ['first document: TTFB', 'ttfb', ms],
  ['first document: LCP', 'lcp', ms],
];

const columns = redis ? [former, ours, redis] : [former, ours];
const row = (cells) => `| ${cells.join(' | ')} |`;
const main = [
  row(['', 'former', 'ours', ...(redis ? ['ours, with Redis'] : []), 'difference', 'aim']),
  row(['---', ...columns.map(() => '---:'), '---:', '---:']),
  ...FIGURES.map(([label, key, show, aim]) => {
    const difference = ['serverRatio', 'hitRatio', 'strictRatio', 'foundRatio', 'stale', 'staleAtFirst'].includes(key) ? '' : less(former[key], ours[key]);
    const aims = { serverRatio: '≥ 90 %', stale: '0' };
    return row([label, ...columns.map((each) => show(each[key])), difference, aims[key] ?? (aim ? `−${percent(aim)}` : '')]);
  }),
].join('\n');

const rounds = [
  row(['of pages', 'API calls', '', 'statements that read', '', 'rendered again', '', 'shows its data, mean', '']),
  row(['---', ...Array(8).fill('---:')]),
  ...[0, 1].map((place) => {
    const [a, b] = [former.rounds[place], ours.rounds[place]];
    const cells = [['shownCalls', whole], ['shownQueries', whole], ['shownRerenders', whole], ['pageMs', ms]];
    return row([place === 0 ? 'first time' : 'second time', ...cells.flatMap(([key, show]) => [`${show(a[key])} → ${show(b[key])}`, less(a[key], b[key])])]);
  }),
].join('\n');

const steps = [
  row(['step (first time, then second)', 'API calls', 'statements that read', 'rendered again', 'shows its data', 'stale']),
  row(['---', ...Array(5).fill('---:')]),
  ...former.steps.map((step, place) => {
    const other = ours.steps[place];
    const pair = (key, show) => (step[key] === null ? '' : `${show(step[key])} → ${show(other[key])}`);
    return row([`${step.round} · ${step.name}`, pair('calls', whole), pair('queries', whole), pair('rerenders', whole), pair('ms', ms), pair('stale', whole)]);
  }),
].join('\n');

const VARIANTS = [
  ['as above', 'gains'],
  ['the second time without signing out and in again', 'same-session'],
  ['nobody else writes', 'alone'],
  ['twenty others work meanwhile; ours alone', 'crowd'],
];
const variantRows = [];
for (const [label, name] of VARIANTS) {
  const { paths, runs } = await read(name);
  const [a, b] = [paths.former && summarise(paths.former), summarise(paths.ours)];
  const compared = (before, after, show) => (before === undefined ? show(after) : `${show(before)} → ${show(after)} (${less(before, after)})`);
  const pair = (key, show) => compared(a?.[key], b[key], show);
  const second = (key, show) => compared(a?.rounds[1][key], b.rounds[1][key], show);
  const ofOne = a === undefined ? () => '' : (told) => told;
  variantRows.push(
    row([label, runs, pair('callsPerPage', one), second('callsPerPage', one), ofOne(pair('queriesPerPage', one)), ofOne(second('queriesPerPage', one)), pair('pageMs', ms), percent(b.serverRatio), percent(b.hitRatio), ofOne(percent(b.strictRatio)), a ? `${whole(a.stale)} → ${whole(b.stale)}` : whole(b.stale)]),
  );
}
const variants = [
  row(['', 'runs', 'API calls for a page', '… the second time', 'statements for a page', '… the second time', 'shows its data', 'hit ratio', '… with the browser', '… strict', 'stale']),
  row(['---', ...Array(10).fill('---:')]),
  ...variantRows,
].join('\n');

const entities = [...new Set([...Object.keys(ours.hitsOf), ...Object.keys(ours.missesOf)])].toSorted();
const crowded = summarise((await read('crowd')).paths.ours);
const ratio = ({ hitsOf, missesOf }, entity) => {
  const [hits, misses] = [hitsOf[entity] ?? 0, missesOf[entity] ?? 0];
  return hits + misses === 0 ? [0, 0, ''] : [hits, misses, percent(hits / (hits + misses))];
};
const byEntity = [
  row(['entity', 'hits', 'misses', 'hit ratio', 'with others: hits', 'misses', 'hit ratio']),
  row(['---', ...Array(6).fill('---:')]),
  ...entities.map((entity) => row([`\`${entity}\``, ...ratio(ours, entity), ...ratio(crowded, entity)])),
].join('\n');

const share = ({ browser, server, database }) => (browser + server) / (browser + server + database);
const byKind = Object.entries(ours.kinds).toSorted(([a], [b]) => a.localeCompare(b));
const hits = [
  row(['read', 'held by the browser', 'a whole answer from the cache', 'put together anew', 'hits']),
  row(['---', ...Array(4).fill('---:')]),
  ...byKind.map(([kind, counts]) => row([`\`${kind}\``, counts.browser, counts.server, counts.database, percent(share(counts))])),
].join('\n');

const generated = `_${raw.runs} runs of each path in turn, ${raw.size.split('x').join(' × ')} (organisations × clients × engagements, assets), medians; measured ${raw.at}, build \`${raw.build}\`._

${main}

### Each time

${rounds}

### Variants

${variants}

### Hits by what was read

Ours, both times, in the last run. What is put together anew may still find all its parts in the cache: from the database were read
${Object.entries(ours.loadsOf).map(([entity, count]) => `${entity} ${count}`).join(', ')}.

${hits}

### Hits by entity

Look-ups of the server's cache, as \`cache_reads_total\` counts them in the last run: whole answers (\`http:response\`), and the views that they are made of
where there is no whole answer. Sessions, which every request looks up, are left out; what the server warms is in. Beside it the same with
twenty others at work.

${byEntity}

### Each step

${steps}
`;

// The raw figures, without the lists of addresses that they were counted from.
const numbers = (step) => Object.fromEntries(Object.entries(step).filter(([key, value]) => key === 'name' || typeof value === 'number'));
const figures = Object.fromEntries(Object.entries(raw.paths).map(([name, runs]) => [name, runs.map((run) => run.map(numbers))]));
await writeFile(path.join(docs, 'reference/gains.json'), `${JSON.stringify({ ...raw, paths: figures })}\n`);

const page = path.join(docs, 'reference/gains.md');
const before = await readFile(page, 'utf8');
const marks = /(<!-- generated -->\n)[\s\S]*?(<!-- end of what is generated -->)/;
if (!marks.test(before)) throw new Error(`${page} has no place for what is generated`);
await writeFile(page, before.replace(marks, `$1\n${generated}\n$2`));

const images = path.join(docs, 'images');
await mkdir(images, { recursive: true });
const note = `Medians of ${raw.runs} runs each; ${raw.size.split('x')[3]} assets, ${raw.size.split('x').slice(0, 3).map(Number).reduce((a, b) => a * b)} engagements, 40 ms to the server`;
const rows = FIGURES.filter(([, , , aim]) => aim).map(([label, key, show, aim]) => ({ label: label.replace(', mean', ''), former: former[key], ours: ours[key], show, aim }));
const both = (key) => former.steps.map((step, place) => ({ label: `${step.round} · ${step.name}`, former: step[key], ours: ours.steps[place][key] }));
const kinds = Object.entries(ours.kinds).map(([label, { browser, server, database }]) => ({ label: label.replaceAll('{id}', '…'), parts: [browser, server, database] }));
await photograph({
  [path.join(images, 'gains.png')]: overview(rows, note),
  [path.join(images, 'gains-calls.png')]: perStep(both('calls'), { title: 'API calls, step by step', note, show: whole }),
  [path.join(images, 'gains-queries.png')]: perStep(both('queries'), { title: 'Statements that read the database, step by step', note, show: whole }),
  [path.join(images, 'gains-answers.png')]: answered(kinds.toSorted((a, b) => b.parts.reduce((x, y) => x + y) - a.parts.reduce((x, y) => x + y)), 'Ours, both times: reads by their address, in the last run'),
});
process.stderr.write(`${page} and its pictures are written\n`);
