import type { FlagRule } from '../api/types';
import { plural } from './format';

/** A flag's rule in the words of people. */
export interface RuleInWords {
  state: 'on' | 'off' | 'partly' | 'killed';
  label: string;
  /** What else it says, where the label is not the whole truth. */
  exceptions: string[];
}

export function inWords(rule: FlagRule): RuleInWords {
  if (rule.killed) return { state: 'killed', label: 'Off for everybody', exceptions: [] };
  const exceptions = Object.entries(rule.endpoints).map(
    ([endpoint, share]) => `${endpoint}: ${share} % of users`,
  );
  if (rule.on_for.length > 0) exceptions.push(`On for ${plural(rule.on_for.length, 'named user')}`);
  if (rule.off_for.length > 0) exceptions.push(`Off for ${plural(rule.off_for.length, 'named user')}`);
  if (rule.percentage === 100) return { state: 'on', label: 'On', exceptions };
  if (rule.percentage === 0) return { state: 'off', label: 'Off', exceptions };
  return { state: 'partly', label: `On for ${rule.percentage} % of users`, exceptions };
}
