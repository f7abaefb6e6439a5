import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { isApiError } from '@unstale/client';
import type { SignedOutReason } from '@unstale/client/react';
import { useEffect, useState } from 'react';
import { Link, Navigate, useSearchParams } from 'react-router';
import { loadAhead } from '../../lib/ahead';
import { safeReturnPath } from '../../lib/return-path';
import { signIn, useAuth } from '../../session/session';
import { pages } from '../pages';
import { EntryLayout } from './EntryLayout';

const NOTICE: Record<SignedOutReason, string> = {
  'signed-out': 'You are signed out.',
  'other-tab': 'You signed out in another tab.',
  expired: 'Your session has ended. Please sign in again.',
};

export function Page() {
  const [search] = useSearchParams();
  const auth = useAuth();
  const [failure, setFailure] = useState<string | null>(null);
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: { email: '', password: '' },
    validate: {
      email: (value) => (/^\S+@\S+$/.test(value) ? null : 'Enter your e-mail address'),
      password: (value) => (value ? null : 'Enter your password'),
    },
  });
  useEffect(() => {
    document.title = 'Sign in · Unstale Migrate';
    // What comes next; somebody types meanwhile.
    return loadAhead([pages.choose, pages.overview]);
  }, []);

  if (auth.status === 'signed-in') return <Navigate to={safeReturnPath(search.get('next'))} replace />;
  const reason = auth.status === 'signed-out' ? auth.reason : null;

  const submit = async ({ email, password }: typeof form.values) => {
    setFailure(null);
    try {
      await signIn(email.trim(), password);
    } catch (error) {
      setFailure(isApiError(error) ? (error.detail ?? error.title) : 'Signing in failed. Please try again.');
    }
  };

  return (
    <EntryLayout title="Sign in" lead="Continue with your work account.">
      <form onSubmit={form.onSubmit(submit)} noValidate>
        <Stack gap="md">
          {failure && (
            <Alert color="red" role="alert" variant="light">
              {failure}
            </Alert>
          )}
          {!failure && reason && (
            <Alert color="gray" role="status" variant="light">
              {NOTICE[reason]}
            </Alert>
          )}
          <TextInput
            label="E-mail"
            type="email"
            autoComplete="username"
            autoFocus
            size="md"
            key={form.key('email')}
            {...form.getInputProps('email')}
          />
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            size="md"
            visibilityToggleButtonProps={{ 'aria-label': 'Show the password' }}
            key={form.key('password')}
            {...form.getInputProps('password')}
          />
          <Button type="submit" size="md" loading={form.submitting}>
            Sign in
          </Button>
          <Text size="sm" c="dimmed" ta="center">
            No account yet?{' '}
            <Anchor component={Link} to="/request-access" underline="always">
              Request access
            </Anchor>
          </Text>
        </Stack>
      </form>
    </EntryLayout>
  );
}
