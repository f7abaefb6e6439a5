import type {
  AttributeQuality,
  Correction,
  DataQuality,
  DataType,
  IssueKind,
  QualityIssue,
  ValueCorrection,
} from '../api/types';

/** What the server takes in one request, and of one value. */
export const BULK_MAX = 200;
export const VALUE_CHARS_MAX = 500;

/** In the order in which they are offered. */
export const ISSUE_KINDS: readonly IssueKind[] = [
  'missing',
  'placeholder',
  'wrong_type',
  'spelling',
  'duplicate',
];

/** An issue and where it is. A value has one issue in a column, so the two name it. */
export interface Place {
  attribute: AttributeQuality;
  issue: QualityIssue;
}

export const issueId = (position: number, issue: Pick<QualityIssue, 'value'>): string =>
  `${position}:${issue.value}`;

export interface IssueFilter {
  kind: IssueKind | 'all';
  /** Of an attribute's column. */
  position: number | null;
  search: string;
}

export const noFilter: IssueFilter = { kind: 'all', position: null, search: '' };

/** An attribute with those of its issues that are looked for. */
export interface IssueGroup {
  attribute: AttributeQuality;
  issues: readonly QualityIssue[];
}

/** Attributes with nothing doubtful are shown while nothing in particular is looked for. */
export function groupIssues(attributes: readonly AttributeQuality[], filter: IssueFilter): IssueGroup[] {
  const needle = filter.search.trim().toLowerCase();
  const looksForIssues = filter.kind !== 'all' || needle !== '';
  return attributes
    .filter(({ position }) => filter.position === null || filter.position === position)
    .map((attribute) => {
      if (!looksForIssues) return { attribute, issues: attribute.issues };
      const named = contains(attribute.label, needle) || contains(attribute.source_column, needle);
      const issues = attribute.issues.filter(
        ({ kind, value, suggestion }) =>
          (filter.kind === 'all' || filter.kind === kind) &&
          (named || contains(value, needle) || contains(suggestion ?? '', needle)),
      );
      return { attribute, issues };
    })
    .filter(({ issues }) => !looksForIssues || issues.length > 0);
}

const contains = (text: string, needle: string): boolean => text.toLowerCase().includes(needle);

export function placesOf(groups: readonly IssueGroup[]): Place[] {
  return groups.flatMap(({ attribute, issues }) => issues.map((issue) => ({ attribute, issue })));
}

export function countKinds(attributes: readonly AttributeQuality[]): Record<IssueKind, number> {
  const counts: Record<IssueKind, number> = {
    missing: 0,
    placeholder: 0,
    wrong_type: 0,
    spelling: 0,
    duplicate: 0,
  };
  for (const { issues } of attributes) for (const { kind } of issues) counts[kind] += 1;
  return counts;
}

/** Issues of an attribute, those that are not listed included. */
export const issuesIn = ({ issues, issues_left_out }: AttributeQuality): number =>
  issues.length + issues_left_out;

export const issuesOf = ({ attributes }: DataQuality): number =>
  attributes.reduce((sum, attribute) => sum + issuesIn(attribute), 0);

/** Cells without an issue, of those that have a value or should have one, in percent. */
export function soundPercent({ values, doubtful, attributes }: DataQuality): number {
  const missing = attributes
    .flatMap(({ issues }) => issues)
    .reduce((sum, { kind, rows }) => (kind === 'missing' ? sum + rows : sum), 0);
  const expected = values + missing;
  return expected === 0 ? 100 : (100 * Math.max(0, expected - doubtful)) / expected;
}

/** A share that is not the whole is never rounded to it, nor one that is something to nothing. */
export function formatShare(percent: number): string {
  if (percent > 99 && percent < 100) return `${(Math.floor(percent * 10) / 10).toFixed(1)} %`;
  if (percent > 0 && percent < 1) return 'under 1 %';
  return `${Math.round(percent)} %`;
}

/** What somebody has typed for a value, or null for "no value". */
export type Draft = string | null;
export type Drafts = ReadonlyMap<string, Draft>;

/**
 * What is to stand for the value: what was typed, else what is suggested. Null if nothing can be sent, since an empty
 * field means "no value" only where that was suggested, or chosen.
 */
export function replacementOf(
  { value, suggestion }: Pick<QualityIssue, 'value' | 'suggestion'>,
  draft: Draft | undefined,
): string | null {
  let replacement: string | null;
  if (draft === undefined) replacement = suggestion;
  else if (draft === null) replacement = '';
  else {
    const typed = draft.trim();
    replacement = typed === '' && suggestion !== '' ? null : typed;
  }
  return replacement === value ? null : replacement;
}

/** Several rows with one name cannot be told apart by correcting it: they would share the new one. */
export function isCorrectable({ kind, value, rows, suggestion }: QualityIssue): boolean {
  if (value.length > VALUE_CHARS_MAX && [...value].length > VALUE_CHARS_MAX) return false;
  return kind !== 'duplicate' || suggestion !== null || rows === 1;
}

/** What is sent for these issues: those with a replacement, each value of a column once. */
export function correctionsOf(places: readonly Place[], drafts: Drafts): Correction[] {
  const corrections = new Map<string, Correction>();
  for (const { attribute, issue } of places) {
    const id = issueId(attribute.position, issue);
    const replacement = isCorrectable(issue) ? replacementOf(issue, drafts.get(id)) : null;
    if (replacement === null || corrections.has(id)) continue;
    corrections.set(id, { position: attribute.position, value: issue.value, replacement });
  }
  return [...corrections.values()];
}

export function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) =>
    items.slice(at * size, (at + 1) * size),
  );
}

const FORETOLD = 'foretold:';

/** Not known to the server yet, so it cannot be taken back. */
export const isForetold = ({ id }: Pick<ValueCorrection, 'id'>): boolean => id.startsWith(FORETOLD);

/** The page as it will be once these corrections are made. What they make of other values only the server knows. */
export function withCorrections(
  quality: DataQuality,
  corrections: readonly Correction[],
  by: { userId: string | null; at: string },
): DataQuality {
  return corrections.reduce((before, correction) => withCorrection(before, correction, by), quality);
}

function withCorrection(
  quality: DataQuality,
  { position, value, replacement }: Correction,
  by: { userId: string | null; at: string },
): DataQuality {
  const attribute = quality.attributes.find((each) => each.position === position);
  const issue = attribute?.issues.find((each) => each.value === value);
  if (!attribute || !issue) return quality;
  const filled = value === '' ? issue.rows : replacement === '' ? -issue.rows : 0;
  const changed: AttributeQuality = {
    ...attribute,
    filled: attribute.filled + filled,
    issues: attribute.issues.filter((each) => each !== issue),
  };
  return {
    ...quality,
    values: quality.values + filled,
    doubtful: quality.doubtful - issue.rows,
    attributes: quality.attributes.map((each) => (each === attribute ? changed : each)),
    corrections: correctedTo(quality.corrections, attribute, issue, replacement, by),
  };
}

/** As the server does: what stands for the value by now stands for the replacement, and so does the file's own value. */
function correctedTo(
  corrections: readonly ValueCorrection[],
  { position, source_column, target_attribute }: AttributeQuality,
  { value, rows }: QualityIssue,
  replacement: string,
  { userId, at }: { userId: string | null; at: string },
): ValueCorrection[] {
  const isRedirected = (each: ValueCorrection) => each.position === position && each.replacement === value;
  const redirected = corrections
    .filter((each) => isRedirected(each) && each.original !== replacement)
    .map((each) => ({ ...each, replacement, corrected_by: userId, corrected_at: at }));
  const others = corrections.filter(
    (each) => !isRedirected(each) && !(each.position === position && each.original === value),
  );
  const ownRows = rows - corrections.filter(isRedirected).reduce((sum, each) => sum + each.rows, 0);
  if (ownRows <= 0) return [...redirected, ...others];
  const made: ValueCorrection = {
    id: `${FORETOLD}${issueId(position, { value })}`,
    position,
    source_column,
    target_attribute,
    original: value,
    replacement,
    rows: ownRows,
    corrected_by: userId,
    corrected_at: at,
  };
  return [made, ...redirected, ...others];
}

/** The page without these corrections. Which issues come back with the file's values only the server knows. */
export function withoutCorrections(quality: DataQuality, ids: ReadonlySet<string>): DataQuality {
  return { ...quality, corrections: quality.corrections.filter(({ id }) => !ids.has(id)) };
}

/** A value as it can be shown: what would not be seen of it stands for itself as a sign with a name. */
export interface ShownPart {
  text: string;
  /** How a reader calls it, for what is not to be seen. */
  unseen: string | null;
}

const UNSEEN: Readonly<Record<string, readonly [sign: string, name: string]>> = {
  ' ': ['␣', 'space'],
  '\t': ['⇥', 'tab'],
  '\n': ['↵', 'line break'],
  '\r': ['↵', 'line break'],
  '\u00a0': ['⍽', 'no-break space'],
  '\u202f': ['⍽', 'no-break space'],
  '\u200b': ['·', 'zero-width space'],
  '\ufeff': ['·', 'zero-width space'],
};

/** Blanks at either end, several in a row, and whatever else looks like nothing. A space between words is itself. */
export function shownParts(value: string): ShownPart[] {
  const unseen = /^ +| +$| {2,}|[\t\n\r\u00a0\u202f\u200b\ufeff]+/g;
  const parts: ShownPart[] = [];
  let end = 0;
  for (const { 0: run, index } of value.matchAll(unseen)) {
    if (index > end) parts.push({ text: value.slice(end, index), unseen: null });
    parts.push({ text: signsOf(run), unseen: nameOfRun(run) });
    end = index + run.length;
  }
  if (end < value.length) parts.push({ text: value.slice(end), unseen: null });
  return parts;
}

const signsOf = (run: string): string => [...run].map((sign) => UNSEEN[sign]?.[0] ?? sign).join('');

function nameOfRun(run: string): string {
  const name = UNSEEN[run[0] ?? '']?.[1] ?? 'blank';
  return run.length === 1 ? name : `${run.length} blanks`;
}

/** How a value is spoken of. */
export const nameOf = (value: string): string => (value === '' ? 'missing values' : value.trim() || 'blanks');

const EXPECTED: Record<DataType, string> = {
  text: 'text',
  integer: 'a whole number',
  decimal: 'a number',
  boolean: 'yes or no',
  date: 'a date',
  ip: 'an IP address',
  mac: 'a MAC address',
  list: 'a list',
};

/** What an issue means, in a sentence. */
export function explain(
  kind: IssueKind,
  { label, data_type }: Pick<AttributeQuality, 'label' | 'data_type'>,
): string {
  switch (kind) {
    case 'missing':
      return `${label} is required, and these rows have none.`;
    case 'placeholder':
      return 'This stands where there is no value.';
    case 'wrong_type':
      return `${label} should be ${EXPECTED[data_type]}.`;
    case 'spelling':
      return 'More rows spell the same thing another way.';
    case 'duplicate':
      return 'Several rows have this name, so it does not tell them apart.';
  }
}
