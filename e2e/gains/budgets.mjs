/**
 * What the journey may cost: counts that are the same on every machine and, for whoever measures both paths, how much of the time
 * is saved. `node gains/budgets.mjs <folder of run.mjs>` fails where one is broken; a short journey is held to counts within the
 * tests.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { saved, summarise } from './summary.mjs';

/** For the whole journey, for the same among others, and for a hurried one on our path alone. */
export const BUDGETS = JSON.parse(await readFile(new URL('./budgets.json', import.meta.url), 'utf8'));

/**
 * Every budget that is broken, in words: shares that ours has to save of what the former path takes, what it may take at
 * most, and what it must reach.
 */
export function broken(paths, { savedAtLeast = {}, atMost = {}, atLeast = {} }) {
  const { former = {}, ours } = Object.fromEntries(Object.entries(paths).map(([name, runs]) => [name, summarise(runs)]));
  const told = [];
  for (const [key, share] of Object.entries(savedAtLeast)) {
    const is = saved(former[key], ours[key]);
    if (is < share) told.push(`${key}: ${former[key]} → ${ours[key]} saves ${is.toFixed(2)}, and must save ${share}`);
  }
  for (const [key, most] of Object.entries(atMost)) {
    if (ours[key] > most) told.push(`${key}: ${ours[key]}, and at most ${most} may be`);
  }
  for (const [key, least] of Object.entries(atLeast)) {
    if (ours[key] < least) told.push(`${key}: ${ours[key].toFixed(2)}, and at least ${least} must be`);
  }
  return told;
}

if (import.meta.main) {
  const told = [];
  for (const [name, budgets] of [['gains', BUDGETS.journey], ['crowd', BUDGETS.crowd]]) {
    const { paths } = JSON.parse(await readFile(path.join(process.argv[2], `${name}.json`), 'utf8'));
    told.push(...broken(paths, budgets).map((line) => `${name}: ${line}`));
  }
  for (const line of told) process.stderr.write(`budget broken: ${line}\n`);
  process.exitCode = told.length > 0 ? 1 : 0;
}
