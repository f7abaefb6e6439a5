/**
 * Makes `src/api/reads.ts` from the server's OpenAPI document: one typed read for each GET operation.
 * `--check` compares instead of writing, and fails if the file is out of date.
 */
import { readFile, writeFile } from 'node:fs/promises';

const document = new URL('../../../../crates/platform/openapi.json', import.meta.url);
const target = new URL('../src/api/reads.ts', import.meta.url);
const BASE = '/api/v1';
/** Large, or worked out from much: a batch would wait for them. */
const ALONE = new Set(['list_assets', 'get_context_full']);

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

/** Lists are written out in the document; ours are of the named things. */
const typeOf = (answer) =>
  answer.startsWith('Items_') ? `Items<Schemas['${answer.slice('Items_'.length)}']>` : `Schemas['${answer}']`;

function reads({ paths }) {
  return Object.entries(paths).flatMap(([path, { get }]) => {
    const schema = get?.responses?.[200]?.content?.['application/json']?.schema;
    if (!schema?.$ref) return [];
    return [{ path: path.replace(BASE, ''), operation: get, answer: schema.$ref.split('/').at(-1) }];
  });
}

function render({ path, operation, answer }) {
  const { operationId: id, summary, parameters = [] } = operation;
  const named = parameters.filter((parameter) => parameter.in === 'path' || parameter.in === 'query');
  const query = named.filter((parameter) => parameter.in === 'query').map(({ name }) => `'${name}'`);
  const optional = (parameter) => (parameter.in === 'path' || parameter.required ? '' : '?');
  const type = ({ name }) => `Asked<'${id}', '${name}'>`;
  const fields = named.map((parameter) => `${parameter.name}${optional(parameter)}: ${type(parameter)}`);
  const params = fields.length > 0 ? `, { ${fields.join('; ')} }` : '';
  const options = [
    ...(query.length > 0 ? [`query: [${query.join(', ')}]`] : []),
    ...(ALONE.has(id) ? ['batch: false'] : []),
  ];
  const definition = options.length > 0 ? `, { ${options.join(', ')} }` : '';
  const doc = `/** ${(summary ?? operation.description ?? id).trim().split('\n')[0]} \`GET ${path}\` */`;
  return `${doc}\nexport const ${camel(id)} = defineRead<${typeOf(answer)}${params}>('${path}'${definition});`;
}

const HEADER = `// Generated from the server's OpenAPI document by \`npm run generate\`. Do not edit.
import { defineRead } from '@unstale/client/react';
import type { components, operations } from './schema';
import type { Items } from './types';

type Schemas = components['schemas'];
type Parameters<O extends keyof operations> = NonNullable<operations[O]['parameters']>;
type Field<T, N extends string> = N extends keyof NonNullable<T> ? NonNullable<T>[N] : never;
type Part<O extends keyof operations, P extends string> = P extends keyof Parameters<O> ? Parameters<O>[P] : never;
type Asked<O extends keyof operations, N extends string> =
  | Field<Part<O, 'path'>, N>
  | Field<Part<O, 'query'>, N>;
`;

const generated = `${HEADER}\n${reads(JSON.parse(await readFile(document, 'utf8')))
  .map(render)
  .join('\n\n')}\n`;
if (process.argv.includes('--check')) {
  const present = await readFile(target, 'utf8').catch(() => '');
  if (present !== generated) {
    process.stderr.write('src/api/reads.ts is out of date: run `npm run generate -w @unstale/platform`\n');
    process.exit(1);
  }
} else {
  await writeFile(target, generated);
}
