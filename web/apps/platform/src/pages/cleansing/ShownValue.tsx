import { Text } from '@mantine/core';
import { shownParts } from '../../lib/cleansing';
import classes from './Cleansing.module.css';

/** A value exactly as it is, blanks included; an empty one says so. */
export function ShownValue({ value }: { value: string }) {
  if (value === '') {
    return (
      <Text span size="sm" c="dimmed" fs="italic">
        no value
      </Text>
    );
  }
  return (
    <span className={`mono ${classes.value}`} title={value}>
      {shownParts(value).map(({ text, unseen }, at) =>
        unseen === null ? (
          text
        ) : (
          // biome-ignore lint/suspicious/noArrayIndexKey: parts of one value, which are only ever made anew together
          <span key={at} className={classes.unseen} role="img" aria-label={unseen} title={unseen}>
            {text}
          </span>
        ),
      )}
    </span>
  );
}
