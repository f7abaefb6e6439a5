import { Combobox, Input, Select, type SelectProps, Text } from '@mantine/core';
import { useState } from 'react';
import type { FieldMapping } from '../../api/types';
import { customName, customTarget, isCustom } from '../../lib/mappings';

export interface TargetOption {
  value: string;
  label: string;
  description: string;
}

interface TargetSelectProps {
  mapping: FieldMapping;
  options: TargetOption[];
  disabled: boolean;
  onChoose: (id: string, target: string | null) => void;
}

const AS_IT_IS = 'Keeps the column as it is, as an attribute of its own.';

const renderTarget: NonNullable<SelectProps['renderOption']> = ({ option }) => (
  <div>
    <Text size="sm">{option.label}</Text>
    {'description' in option && (
      <Text size="xs" c="dimmed">
        {String(option.description)}
      </Text>
    )}
  </div>
);

function labelOf(target: string | null, options: readonly TargetOption[]): string | undefined {
  if (target === null) return undefined;
  return isCustom(target) ? customName(target) : options.find(({ value }) => value === target)?.label;
}

/** What a column can be beside an attribute of the catalogue: itself. */
function customOptions({ source_column, target_attribute }: FieldMapping): TargetOption[] {
  const own = { value: customTarget(source_column), label: source_column, description: AS_IT_IS };
  const isOther = target_attribute !== null && isCustom(target_attribute) && target_attribute !== own.value;
  if (!isOther) return [own];
  return [own, { value: target_attribute, label: customName(target_attribute), description: AS_IT_IS }];
}

/** Why there is a select now: somebody points at it, or has come to it by keyboard. */
type Reached = 'pointer' | 'focus';

/**
 * The select itself is made when somebody reaches for it: two hundred of them, each with its search and its list, are
 * most of what the review of a wide file would cost.
 */
export function TargetSelect({ mapping, options, disabled, onChoose }: TargetSelectProps) {
  const [reached, setReached] = useState<Reached | null>(null);
  const label = `Target of ${mapping.source_column}`;
  if (reached === null || disabled) {
    const chosen = labelOf(mapping.target_attribute, options);
    return (
      <Input
        component="button"
        type="button"
        role="combobox"
        aria-label={label}
        aria-expanded={false}
        aria-haspopup="listbox"
        pointer
        disabled={disabled}
        rightSection={<Combobox.Chevron />}
        rightSectionPointerEvents="none"
        onPointerEnter={() => setReached('pointer')}
        onFocus={() => setReached('focus')}
      >
        {chosen ?? <Input.Placeholder>No target</Input.Placeholder>}
      </Input>
    );
  }
  return (
    <Select
      aria-label={label}
      data={[...options, ...customOptions(mapping)]}
      value={mapping.target_attribute}
      onChange={(target) => onChoose(mapping.id, target)}
      placeholder="No target"
      searchable
      clearable
      clearButtonProps={{ 'aria-label': `Remove the target of ${mapping.source_column}` }}
      nothingFoundMessage="No such attribute"
      renderOption={renderTarget}
      comboboxProps={{ width: 300, position: 'bottom-start' }}
      autoFocus={reached === 'focus'}
    />
  );
}
