import type {
  CacheConfiguration,
  Configurable,
  Configuration,
  EndpointSettings,
  EntrySettings,
} from '../api/types';
import { formatNumber } from './format';

/** One thing whose caching can be configured: a kind of entry, or a route. */
export interface Item extends Configurable {
  of: 'entries' | 'endpoints';
  settings: Partial<EndpointSettings>;
}

export function itemsOf({ configuration, entries, endpoints }: CacheConfiguration): Item[] {
  const items = (of: Item['of'], known: readonly Configurable[]) =>
    known.map((configurable) => ({
      ...configurable,
      of,
      settings: configuration[of][configurable.name] ?? {},
    }));
  return [...items('endpoints', endpoints), ...items('entries', entries)];
}

const isSaid = (value: unknown): boolean => value !== null && value !== undefined;

export const isChanged = ({ settings }: Item): boolean => Object.values(settings).some(isSaid);

/** What is said of an item, in words; nothing where everything is as released. */
export function settingsInWords(settings: Partial<EndpointSettings>): string[] {
  const words: string[] = [];
  if (settings.cache === false) words.push('not cached');
  if (settings.cache === true) words.push('cached');
  if (isSaid(settings.ttl_seconds)) words.push(`fresh for ${inSeconds(settings.ttl_seconds ?? 0)}`);
  if (isSaid(settings.grace_seconds))
    words.push(`served for ${inSeconds(settings.grace_seconds ?? 0)} more while it is loaded`);
  if (isSaid(settings.fail_safe_seconds))
    words.push(`for ${inSeconds(settings.fail_safe_seconds ?? 0)} more where loading fails`);
  if (settings.store === false) words.push('kept by each node for itself');
  if (settings.store === true) words.push('shared between nodes');
  if (settings.headers === false) words.push('answers do not tell');
  if (settings.headers === true) words.push('answers tell');
  if (settings.mode?.kind === 'strict') words.push('always confirmed');
  if (settings.mode?.kind === 'bounded')
    words.push(`confirmed within ${formatNumber(settings.mode.milliseconds)} ms`);
  if (settings.mode?.kind === 'stale_ok') words.push(`may be ${inSeconds(settings.mode.seconds)} behind`);
  return words;
}

const UNITS: readonly [seconds: number, unit: string][] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
];

/** Whole units where they fit: 300 is 5 min, 90 is 90 s. */
export function inSeconds(seconds: number): string {
  const unit = UNITS.find(([size]) => seconds >= size && seconds % size === 0);
  return unit ? `${formatNumber(seconds / unit[0])} ${unit[1]}` : `${formatNumber(seconds)} s`;
}

/** The configuration with something else said of an item; what says nothing is left out. */
export function withSettings(
  configuration: Configuration,
  { of, name }: Item,
  settings: Partial<EntrySettings>,
): Configuration {
  const { [name]: _, ...others } = configuration[of];
  const said = Object.fromEntries(Object.entries(settings).filter(([, value]) => isSaid(value)));
  return {
    ...configuration,
    [of]: Object.keys(said).length === 0 ? others : { ...others, [name]: said },
  };
}

/** How two configurations differ, for people who look at what was changed. `before` is none before the first. */
export function differences(before: Configuration | null, after: Configuration): string[] {
  return [
    ...switchesThrown(before, after),
    ...itemsChanged(before, after, 'entries'),
    ...itemsChanged(before, after, 'endpoints'),
    ...(before && restOf(before) !== restOf(after) ? ['quotas, watch or retention'] : []),
  ];
}

function switchesThrown(before: Configuration | null, { switches }: Configuration): string[] {
  return (Object.keys(SWITCH_NAMES) as (keyof typeof SWITCH_NAMES)[])
    .filter((name) => (before?.switches[name] ?? true) !== switches[name])
    .map((name) => `${SWITCH_NAMES[name]}: ${switches[name] ? 'on' : 'off'}`);
}

function itemsChanged(before: Configuration | null, after: Configuration, of: Item['of']): string[] {
  const said = (configuration: Configuration | null, name: string) =>
    settingsInWords(configuration?.[of][name] ?? {}).join(', ');
  const names = new Set([...Object.keys(before?.[of] ?? {}), ...Object.keys(after[of])]);
  return [...names]
    .filter((name) => said(before, name) !== said(after, name))
    .map((name) => `${name}: ${said(after, name) || 'as released'}`);
}

const restOf = ({ tenants, consistency, retention }: Configuration) =>
  JSON.stringify({ tenants, consistency, retention });

export const SWITCH_NAMES = {
  cache: 'The cache',
  store: 'Sharing through Redis',
  headers: 'Headers that tell what the cache did',
} as const;
