import { Kbd, Popover, Table, Text, UnstyledButton } from '@mantine/core';
import { IconKeyboard } from '@tabler/icons-react';
import classes from './Review.module.css';

export type Shortcut = readonly [key: string, does: string];

/** What can be done by keyboard, for who asks. */
export function Shortcuts({ keys }: { keys: readonly Shortcut[] }) {
  return (
    <Popover position="bottom-end" withArrow>
      <Popover.Target>
        <UnstyledButton aria-label="Keyboard shortcuts" className={classes.keys ?? ''}>
          <IconKeyboard size={20} stroke={1.6} aria-hidden />
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <Text fw={580} size="sm" mb="xs">
          Keyboard
        </Text>
        <Table withRowBorders={false} verticalSpacing={4} horizontalSpacing={6}>
          <Table.Tbody>
            {keys.map(([key, does]) => (
              <Table.Tr key={key}>
                <Table.Td>
                  <Kbd>{key}</Kbd>
                </Table.Td>
                <Table.Td>{does}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Popover.Dropdown>
    </Popover>
  );
}
