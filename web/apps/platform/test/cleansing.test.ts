import { describe, expect, it } from 'vitest';
import type { AttributeQuality, DataQuality, QualityIssue, ValueCorrection } from '../src/api/types';
import {
  chunksOf,
  correctionsOf,
  countKinds,
  formatShare,
  groupIssues,
  isCorrectable,
  isForetold,
  noFilter,
  placesOf,
  replacementOf,
  shownParts,
  soundPercent,
  withCorrections,
  withoutCorrections,
} from '../src/lib/cleansing';

const issue = (value: string, overrides: Partial<QualityIssue> = {}): QualityIssue => ({
  kind: 'spelling',
  value,
  rows: 2,
  suggestion: null,
  row_numbers: [1, 2],
  ...overrides,
});

const attribute = (
  position: number,
  label: string,
  issues: QualityIssue[],
  overrides: Partial<AttributeQuality> = {},
): AttributeQuality => ({
  position,
  source_column: `Column ${position}`,
  target_attribute: label.toLowerCase(),
  label,
  data_type: 'text',
  required: false,
  filled: 10,
  distinct: 5,
  issues,
  issues_left_out: 0,
  ...overrides,
});

const correction = (id: string, original: string, replacement: string, rows = 1): ValueCorrection => ({
  id,
  position: 1,
  source_column: 'Column 1',
  target_attribute: 'environment',
  original,
  replacement,
  rows,
  corrected_by: 'somebody',
  corrected_at: '2026-11-20T18:00:00Z',
});

const environment = attribute(1, 'Environment', [
  issue('prod', { suggestion: 'Production', rows: 3 }),
  issue('n/a', { kind: 'placeholder', suggestion: '' }),
]);
const memory = attribute(2, 'Memory', [issue('16 GB', { kind: 'wrong_type', suggestion: '16384' })], {
  data_type: 'integer',
});
const owner = attribute(3, 'Owner', []);
const quality = (attributes: AttributeQuality[], corrections: ValueCorrection[] = []): DataQuality => ({
  import_id: 'i',
  engagement_id: 'e',
  file_name: 'f.csv',
  rows: 10,
  rows_inspected: 10,
  values: 30,
  doubtful: 7,
  attributes,
  corrections,
});
const me = { userId: 'me', at: '2026-11-21T11:00:00Z' };
const values = (groups: ReturnType<typeof groupIssues>) =>
  groups.map(({ attribute: { label }, issues }) => [label, ...issues.map(({ value }) => value)]);

describe('what is looked for', () => {
  const all = [environment, memory, owner];

  it('is everything by attribute at first, and attributes with nothing doubtful too', () => {
    const groups = groupIssues(all, noFilter);
    expect(values(groups)).toEqual([['Environment', 'prod', 'n/a'], ['Memory', '16 GB'], ['Owner']]);
    expect(groups[0]?.issues).toBe(environment.issues);
  });

  it.each([
    [{ kind: 'placeholder' as const }, [['Environment', 'n/a']]],
    [{ position: 2 }, [['Memory', '16 GB']]],
    [{ position: 3 }, [['Owner']]],
    [{ search: ' PROD ' }, [['Environment', 'prod']]],
    [{ search: '16384' }, [['Memory', '16 GB']]],
    [{ search: 'memory' }, [['Memory', '16 GB']]],
    [{ search: 'column 1', kind: 'spelling' as const }, [['Environment', 'prod']]],
    [{ search: 'prod', position: 2 }, []],
  ])('%o', (filter, expected) => {
    expect(values(groupIssues(all, { ...noFilter, ...filter }))).toEqual(expected);
  });

  it('is counted by kind', () => {
    expect(countKinds(all)).toEqual({ missing: 0, placeholder: 1, wrong_type: 1, spelling: 1, duplicate: 0 });
  });
});

describe('a replacement', () => {
  const suggested = issue('prod', { suggestion: 'Production' });
  const nothingSuggested = issue('prod');
  const noValueSuggested = issue('n/a', { suggestion: '' });

  it.each([
    ['the suggestion, untouched', suggested, undefined, 'Production'],
    ['what was typed, without blanks around it', suggested, ' Live ', 'Live'],
    ['nothing yet, when the field was emptied', suggested, '', null],
    ['"no value", when it was chosen', suggested, null, ''],
    ['nothing yet, when nothing is suggested', nothingSuggested, undefined, null],
    ['"no value", as suggested', noValueSuggested, undefined, ''],
    ['"no value", as suggested, after typing and thinking again', noValueSuggested, '', ''],
    ['nothing, when it is the value itself', suggested, 'prod', null],
  ])('is %s', (_, of, draft, expected) => {
    expect(replacementOf(of, draft)).toBe(expected);
  });

  it('is not "no value" for what is missing', () => {
    expect(replacementOf(issue('', { kind: 'missing' }), '')).toBeNull();
    expect(replacementOf(issue('', { kind: 'missing' }), null)).toBeNull();
  });
});

describe('what is sent', () => {
  it('are the values that have a replacement, typed ones as they were typed', () => {
    const drafts = new Map([['2:16 GB', '16000']]);
    const places = placesOf(groupIssues([environment, memory, attribute(4, 'X', [issue('y')])], noFilter));
    expect(correctionsOf(places, drafts)).toEqual([
      { position: 1, value: 'prod', replacement: 'Production' },
      { position: 1, value: 'n/a', replacement: '' },
      { position: 2, value: '16 GB', replacement: '16000' },
    ]);
  });

  it('is each value of a column once', () => {
    const place = { attribute: environment, issue: issue('prod', { suggestion: 'Production' }) };
    expect(correctionsOf([place, place], new Map())).toHaveLength(1);
    const elsewhere = { ...place, attribute: memory };
    expect(correctionsOf([place, elsewhere], new Map())).toHaveLength(2);
  });

  it('is nothing that a correction cannot mend, or the server does not take', () => {
    expect(isCorrectable(issue('web-1', { kind: 'duplicate', rows: 2 }))).toBe(false);
    expect(isCorrectable(issue('WEB-1', { kind: 'duplicate', rows: 1 }))).toBe(true);
    expect(isCorrectable(issue('x'.repeat(501), { suggestion: 'x' }))).toBe(false);
    // Characters are counted as the server counts them.
    expect(isCorrectable(issue('🖥'.repeat(500)))).toBe(true);
    const place = { attribute: owner, issue: issue('web-1', { kind: 'duplicate' }) };
    expect(correctionsOf([place], new Map([['3:web-1', 'web-2']]))).toEqual([]);
  });

  it('goes in parts of what a request takes', () => {
    const parts = chunksOf(
      Array.from({ length: 401 }, (_, at) => at),
      200,
    );
    expect(parts.map(({ length }) => length)).toEqual([200, 200, 1]);
    expect(parts.flat()).toHaveLength(401);
    expect(chunksOf([], 200)).toEqual([]);
  });
});

describe('what a correction foretells', () => {
  it('is that the issue is gone, and who corrected it', () => {
    const before = quality([environment, memory]);
    const after = withCorrections(before, [{ position: 1, value: 'prod', replacement: 'Production' }], me);
    expect(after.attributes[0]?.issues.map(({ value }) => value)).toEqual(['n/a']);
    expect(after).toMatchObject({ values: 30, doubtful: 4 });
    expect(after.corrections).toMatchObject([
      { original: 'prod', replacement: 'Production', rows: 3, corrected_by: 'me', corrected_at: me.at },
    ]);
    expect(after.corrections.every(isForetold)).toBe(true);
    expect(after.attributes[1]).toBe(memory);
    expect(before.attributes[0]?.issues).toHaveLength(2);
  });

  it('counts cells that have no value any more, or have one now', () => {
    const emptied = withCorrections(
      quality([environment]),
      [{ position: 1, value: 'n/a', replacement: '' }],
      me,
    );
    expect([emptied.values, emptied.attributes[0]?.filled]).toEqual([28, 8]);
    const required = attribute(4, 'Name', [issue('', { kind: 'missing', rows: 4 })]);
    const filled = withCorrections(quality([required]), [{ position: 4, value: '', replacement: 'x' }], me);
    expect([filled.values, filled.attributes[0]?.filled]).toEqual([34, 14]);
  });

  it('reaches back to the file through corrections made before', () => {
    const before = quality([environment], [correction('1', 'prd', 'prod', 1), correction('2', 'x', 'y')]);
    const after = withCorrections(before, [{ position: 1, value: 'prod', replacement: 'Production' }], me);
    expect(after.corrections.map(({ original, replacement, rows }) => [original, replacement, rows])).toEqual(
      [
        ['prod', 'Production', 2],
        ['prd', 'Production', 1],
        ['x', 'y', 1],
      ],
    );
    // Given back to itself, and met in no row as such: nothing is left of it.
    const back = withCorrections(
      quality(
        [attribute(1, 'Environment', [issue('prod', { rows: 1 })])],
        [correction('1', 'prd', 'prod', 1)],
      ),
      [{ position: 1, value: 'prod', replacement: 'prd' }],
      me,
    );
    expect(back.corrections).toEqual([]);
  });

  it('leaves alone what it does not know', () => {
    const before = quality([environment]);
    expect(withCorrections(before, [{ position: 9, value: 'prod', replacement: 'x' }], me)).toBe(before);
    expect(withCorrections(before, [{ position: 1, value: 'gone', replacement: 'x' }], me)).toBe(before);
  });

  it('is taken off the list when it is undone', () => {
    const before = quality([environment], [correction('1', 'a', 'b'), correction('2', 'c', 'd')]);
    expect(withoutCorrections(before, new Set(['1'])).corrections.map(({ id }) => id)).toEqual(['2']);
  });
});

describe('the share without an issue', () => {
  it('is of cells that have a value or should have one', () => {
    expect(soundPercent(quality([environment]))).toBeCloseTo((100 * 23) / 30);
    const required = attribute(4, 'Name', [issue('', { kind: 'missing', rows: 10 })]);
    expect(soundPercent({ ...quality([required]), doubtful: 10 })).toBe(75);
    expect(soundPercent({ ...quality([]), values: 0, doubtful: 0 })).toBe(100);
  });

  it('is not said to be whole while it is not', () => {
    expect([100, 99.97, 99.4, 76.7, 0.2, 0].map(formatShare)).toEqual([
      '100 %',
      '99.9 %',
      '99.4 %',
      '77 %',
      'under 1 %',
      '0 %',
    ]);
  });
});

describe('a value as it is shown', () => {
  it.each([
    ['Windows Server', [['Windows Server', null]]],
    [
      ' web  01 ',
      [
        ['␣', 'space'],
        ['web', null],
        ['␣␣', '2 blanks'],
        ['01', null],
        ['␣', 'space'],
      ],
    ],
    ['   ', [['␣␣␣', '3 blanks']]],
    [
      'a\tb',
      [
        ['a', null],
        ['⇥', 'tab'],
        ['b', null],
      ],
    ],
    [
      'a\u00a0b',
      [
        ['a', null],
        ['⍽', 'no-break space'],
        ['b', null],
      ],
    ],
    ['', []],
  ])('%o', (value, expected) => {
    expect(shownParts(value).map(({ text, unseen }) => [text, unseen])).toEqual(expected);
  });
});
