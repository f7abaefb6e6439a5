import { Button, type ButtonProps, Group } from '@mantine/core';
import type { ReactNode } from 'react';

interface FormActionsProps extends Pick<ButtonProps, 'color' | 'disabled' | 'loading'> {
  /** What sending the form does. */
  children: ReactNode;
  onCancel: () => void;
}

/** How a form in a dialog ends. */
export function FormActions({ children, onCancel, ...submit }: FormActionsProps) {
  return (
    <Group justify="flex-end">
      <Button variant="default" onClick={onCancel}>
        Cancel
      </Button>
      <Button type="submit" {...submit}>
        {children}
      </Button>
    </Group>
  );
}
