import type { FlowPhase, FlowStatus, IssueKind, Role } from '../api/types';

const numbers = new Intl.NumberFormat('en');
const dates = new Intl.DateTimeFormat('en', { dateStyle: 'medium' });
const times = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export const formatNumber = (value: number): string => numbers.format(value);
export const formatPercent = (value: number): string => `${Math.round(value)} %`;
/** A calendar day, `YYYY-MM-DD`, which has no time zone to shift it. */
export const formatDay = (day: string): string => dates.format(new Date(`${day}T12:00:00`));
export const formatTime = (instant: string): string => times.format(new Date(instant));

const STEPS: readonly [limitSeconds: number, unit: Intl.RelativeTimeFormatUnit, unitSeconds: number][] = [
  [45, 'second', 1],
  [45 * 60, 'minute', 60],
  [22 * 3600, 'hour', 3600],
  [26 * 86_400, 'day', 86_400],
  [320 * 86_400, 'month', 30 * 86_400],
];

export function formatAgo(instant: string, now: number): string {
  const seconds = Math.round((new Date(instant).getTime() - now) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 10) return 'just now';
  const step = STEPS.find(([limit]) => distance < limit);
  if (!step) return relative.format(Math.round(seconds / (365 * 86_400)), 'year');
  return relative.format(Math.round(seconds / step[2]), step[1]);
}

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = -1;
  // 999.95 and not 1000: what would be shown as "1000.0 kB" is a megabyte.
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

export function formatPeriod(startsOn: string | null, endsOn: string | null): string | null {
  if (startsOn && endsOn) return `${formatDay(startsOn)} to ${formatDay(endsOn)}`;
  if (startsOn) return `from ${formatDay(startsOn)}`;
  return endsOn ? `until ${formatDay(endsOn)}` : null;
}

const DELIMITERS: Record<string, string> = {
  ',': 'Comma',
  ';': 'Semicolon',
  '\t': 'Tab',
  '|': 'Vertical bar',
};
export const formatDelimiter = (delimiter: string): string => DELIMITERS[delimiter] ?? delimiter;

const FORMATS: Record<string, string> = {
  azure_migrate: 'Azure Migrate',
  aws_migration_hub: 'AWS Migration Hub',
  unknown: 'Unrecognised layout',
};
export const formatFormat = (format: string): string => FORMATS[format] ?? format;

export const PHASES: readonly FlowPhase[] = [
  'data_import',
  'field_mapping',
  'data_cleansing',
  'asset_inventory',
];
export const phaseLabel: Record<FlowPhase, string> = {
  data_import: 'Data import',
  field_mapping: 'Field mapping',
  data_cleansing: 'Data cleansing',
  asset_inventory: 'Asset inventory',
};
export const flowStatusLabel: Record<FlowStatus, string> = {
  draft: 'Draft',
  running: 'Running',
  awaiting_review: 'Awaiting review',
  completed: 'Completed',
  cancelled: 'Cancelled',
};
export const issueLabel: Record<IssueKind, string> = {
  missing: 'Missing',
  placeholder: 'Placeholder',
  wrong_type: 'Wrong type',
  spelling: 'Spelling',
  duplicate: 'Duplicate',
};
export const roleLabel: Record<Role, string> = {
  client_admin: 'Client admin',
  analyst: 'Analyst',
  platform_admin: 'Platform admin',
};

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count)} ${count === 1 ? one : many}`;
}
