import path from 'node:path';
import { defineConfig, mergeConfig, type Plugin } from 'vite';
import { shared } from '../vite.config';

const FORMER = import.meta.dirname;
const SRC = path.resolve(FORMER, '../src');
const CLIENT = path.resolve(FORMER, '../../../packages/client/src');

/** Modules of the product that have a counterpart here. */
const REPLACED = new Map(
  Object.entries({
    [path.join(SRC, 'App.tsx')]: 'App.tsx',
    [path.join(SRC, 'session/flags.ts')]: 'flags.ts',
    [path.join(SRC, 'session/preparing.ts')]: 'preparing.ts',
    [path.join(SRC, 'session/session.ts')]: 'session.ts',
    [path.join(SRC, 'api/queries.ts')]: 'queries.ts',
    [path.join(CLIENT, 'react/index.ts')]: 'react.ts',
    [path.join(CLIENT, 'flight.ts')]: 'flight.ts',
  }).map(([from, to]) => [from, path.join(FORMER, to)]),
);

/** Whoever imports one of them gets the counterpart, but for the counterparts themselves. */
const former: Plugin = {
  name: 'former',
  enforce: 'pre',
  async resolveId(source, importer, options) {
    if (!importer || importer.startsWith(FORMER)) return null;
    const resolved = await this.resolve(source, importer, { ...options, skipSelf: true });
    return (resolved && REPLACED.get(resolved.id)) ?? null;
  },
};

export default mergeConfig(shared, defineConfig({ plugins: [former] }));
