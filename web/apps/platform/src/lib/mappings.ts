import type { FieldMapping, MappingStatistics, MappingStatus, TargetAttribute } from '../api/types';

export type MappingFilter = 'all' | MappingStatus | 'unmapped';

export function matchesFilter(mapping: FieldMapping, filter: MappingFilter): boolean {
  if (filter === 'all') return true;
  if (filter === 'unmapped') return mapping.target_attribute === null;
  return mapping.status === filter;
}

export function filterMappings(
  mappings: readonly FieldMapping[],
  filter: MappingFilter,
  search: string,
): FieldMapping[] {
  const needle = search.trim().toLowerCase();
  return mappings.filter(
    (mapping) =>
      matchesFilter(mapping, filter) &&
      (needle === '' ||
        mapping.source_column.toLowerCase().includes(needle) ||
        (mapping.target_attribute?.toLowerCase().includes(needle) ?? false)),
  );
}

/** What is decided on many mappings at once. */
export type Decision = 'approve' | 'reject' | 'keep';

/** Before the name of an attribute that is none of the catalogue's: a column that is kept as it is. */
const CUSTOM = 'custom:';

export const isCustom = (target: string): boolean => target.startsWith(CUSTOM);
export const customTarget = (column: string): string => CUSTOM + column;
export const customName = (target: string): string => target.slice(CUSTOM.length);

function decided(mapping: FieldMapping, decision: Decision): FieldMapping {
  if (decision !== 'keep') return { ...mapping, status: decision === 'approve' ? 'approved' : 'rejected' };
  if (mapping.target_attribute !== null) return mapping;
  const target_attribute = customTarget(mapping.source_column);
  return { ...mapping, target_attribute, status: 'suggested', confidence: 1, reason: 'kept as it is' };
}

/** The mappings as the server will tell them. */
export function withDecision(
  mappings: readonly FieldMapping[],
  ids: ReadonlySet<string>,
  decision: Decision,
): FieldMapping[] {
  return mappings.map((mapping) => (ids.has(mapping.id) ? decided(mapping, decision) : mapping));
}

/** The header's figures, foretold while the server still works on a bulk operation. */
export function statisticsOf(importId: string, mappings: readonly FieldMapping[]): MappingStatistics {
  const count = (status: MappingStatus) => mappings.filter((mapping) => mapping.status === status).length;
  const total = mappings.length;
  const approved = count('approved');
  return {
    import_id: importId,
    total,
    suggested: count('suggested'),
    approved,
    rejected: count('rejected'),
    unmapped: mappings.filter((mapping) => mapping.target_attribute === null).length,
    average_confidence:
      total === 0 ? 0 : mappings.reduce((sum, { confidence }) => sum + confidence, 0) / total,
    approved_percent: total === 0 ? 0 : (100 * approved) / total,
  };
}

/** Required attributes that no approved column provides yet. */
export function missingRequired(
  mappings: readonly FieldMapping[],
  targets: readonly TargetAttribute[],
): TargetAttribute[] {
  const provided = new Set(
    mappings.filter(({ status }) => status === 'approved').map(({ target_attribute }) => target_attribute),
  );
  return targets.filter(({ name, required }) => required && !provided.has(name));
}

export type ConfidenceLevel = 'high' | 'medium' | 'low' | 'none';

export function confidenceLevel({
  target_attribute,
  confidence,
}: Pick<FieldMapping, 'target_attribute' | 'confidence'>): ConfidenceLevel {
  if (target_attribute === null) return 'none';
  if (confidence >= 0.85) return 'high';
  return confidence >= 0.6 ? 'medium' : 'low';
}
