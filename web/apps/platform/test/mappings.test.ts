import { describe, expect, it } from 'vitest';
import type { FieldMapping } from '../src/api/types';
import {
  confidenceLevel,
  filterMappings,
  missingRequired,
  statisticsOf,
  withDecision,
} from '../src/lib/mappings';

function mapping(id: string, overrides: Partial<FieldMapping> = {}): FieldMapping {
  return {
    id,
    import_id: 'i',
    position: 1,
    source_column: `Column ${id}`,
    target_attribute: 'hostname',
    confidence: 0.8,
    reason: 'same name',
    status: 'suggested',
    sample_values: [],
    reviewed_by: null,
    reviewed_at: null,
    updated_at: '2026-11-20T18:00:00Z',
    ...overrides,
  };
}

const items = [
  mapping('1', { source_column: 'Server name' }),
  mapping('2', {
    source_column: 'OS',
    target_attribute: 'operating_system',
    status: 'approved',
    confidence: 1,
  }),
  mapping('3', { source_column: 'Comment', target_attribute: null, confidence: 0 }),
  mapping('4', { source_column: 'Rack', target_attribute: 'location', status: 'rejected', confidence: 0.4 }),
];
const idsOf = (mappings: readonly FieldMapping[]) => mappings.map(({ id }) => id);

describe('filters', () => {
  it.each([
    ['all', ['1', '2', '3', '4']],
    ['suggested', ['1', '3']],
    ['approved', ['2']],
    ['rejected', ['4']],
    ['unmapped', ['3']],
  ] as const)('%s', (filter, expected) => {
    expect(idsOf(filterMappings(items, filter, ''))).toEqual(expected);
  });

  it('search columns and targets, whatever the case', () => {
    expect(idsOf(filterMappings(items, 'all', ' SERVER '))).toEqual(['1']);
    expect(idsOf(filterMappings(items, 'all', 'operating'))).toEqual(['2']);
    expect(idsOf(filterMappings(items, 'approved', 'server'))).toEqual([]);
  });
});

describe('what a bulk review foretells', () => {
  it('changes only the chosen mappings, and none in place', () => {
    const after = withDecision(items, new Set(['1', '4']), 'approve');
    expect(after.map(({ status }) => status)).toEqual(['approved', 'approved', 'suggested', 'approved']);
    expect(items[0]?.status).toBe('suggested');
    expect(after[1]).toBe(items[1]);
  });

  it('keeps as they are only columns without a target, and has them reviewed', () => {
    const rejected = mapping('5', { target_attribute: null, status: 'rejected', source_column: 'Note' });
    const after = withDecision([...items, rejected], new Set(['2', '3', '5']), 'keep');
    expect(after.map(({ target_attribute, status }) => `${target_attribute} ${status}`)).toEqual([
      'hostname suggested',
      'operating_system approved',
      'custom:Comment suggested',
      'location rejected',
      'custom:Note suggested',
    ]);
    expect(statisticsOf('i', after)).toMatchObject({ unmapped: 0, suggested: 3 });
  });

  it('counts as the server does', () => {
    expect(statisticsOf('i', items)).toEqual({
      import_id: 'i',
      total: 4,
      suggested: 2,
      approved: 1,
      rejected: 1,
      unmapped: 1,
      average_confidence: expect.closeTo(0.55),
      approved_percent: 25,
    });
    expect(statisticsOf('i', [])).toMatchObject({ total: 0, approved_percent: 0, average_confidence: 0 });
  });
});

describe('confidence', () => {
  it.each([
    ['hostname', 0.85, 'high'],
    ['hostname', 0.6, 'medium'],
    ['hostname', 0.59, 'low'],
    [null, 0.9, 'none'],
  ] as const)('of %s at %d is %s', (target_attribute, confidence, level) => {
    expect(confidenceLevel({ target_attribute, confidence })).toBe(level);
  });
});

describe('required targets', () => {
  const target = (name: string, required: boolean) => ({
    name,
    label: name,
    data_type: 'text' as const,
    description: '',
    required,
  });
  it('are missing until a column is approved for them', () => {
    const targets = [target('hostname', true), target('operating_system', true), target('location', false)];
    expect(missingRequired(items, targets).map(({ name }) => name)).toEqual(['hostname']);
    expect(missingRequired(withDecision(items, new Set(['1']), 'approve'), targets)).toEqual([]);
  });
});
