import { Button, Group, Text } from '@mantine/core';
import { modals } from '@mantine/modals';
import { notifications } from '@mantine/notifications';
import { isApiError } from '@unstale/client';
import type { ReactNode } from 'react';

export function announce(message: string): void {
  notifications.show({ message, color: 'spruce', autoClose: 4_000 });
}

let reversible: string | undefined;

/** As `announce`, with a way back. The next one takes its place: who works fast is not to collect them. */
export function announceReversible(message: string, undo: () => void): void {
  if (reversible) notifications.hide(reversible);
  const id = notifications.show({
    message: (
      <Group justify="space-between" wrap="nowrap">
        <span>{message}</span>
        <Button
          size="compact-sm"
          variant="subtle"
          onClick={() => {
            notifications.hide(id);
            undo();
          }}
        >
          Undo
        </Button>
      </Group>
    ),
    color: 'spruce',
    autoClose: 12_000,
  });
  reversible = id;
}

export function announceFailure(title: string, error: unknown): void {
  notifications.show({
    title,
    message: isApiError(error) ? (error.detail ?? error.title) : 'Please try again.',
    color: 'red',
    autoClose: 8_000,
  });
}

/** What was announced, and what could be taken back, is of one session: nobody else is to see it. */
export function forgetAnnouncements(): void {
  reversible = undefined;
  notifications.clean();
}

interface Confirmation {
  title: string;
  body: ReactNode;
  action: string;
  onConfirm: () => void;
}

export function confirmRisk({ title, body, action, onConfirm }: Confirmation): void {
  modals.openConfirmModal({
    title,
    children: (
      <Text size="sm" component="div">
        {body}
      </Text>
    ),
    labels: { confirm: action, cancel: 'Cancel' },
    confirmProps: { color: 'red' },
    onConfirm,
  });
}

/** Field messages of a refused form, by field, for a form's `setErrors`. */
export function fieldMessages(error: unknown): Record<string, string> {
  if (!isApiError(error)) return {};
  return Object.fromEntries(error.errors.map(({ field, message }) => [field, message]));
}

/** All that the server says of a refused document, for a form that cannot show it field by field; empty for any other failure. */
export function faultMessages(error: unknown): string[] {
  return isApiError(error, 422) ? error.errors.map(({ message }) => message) : [];
}
