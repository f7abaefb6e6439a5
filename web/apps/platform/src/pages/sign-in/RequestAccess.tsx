import { Alert, Anchor, Button, PasswordInput, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconMailCheck } from '@tabler/icons-react';
import { isApiError } from '@unstale/client';
import { useEffect, useState } from 'react';
import { Link } from 'react-router';
import { fieldMessages } from '../../components/feedback';
import { requestAccess } from '../../session/session';
import { EntryLayout } from './EntryLayout';

const PASSWORD_LENGTH_MIN = 10;

export function Page() {
  const [sent, setSent] = useState(false);
  useEffect(() => {
    document.title = 'Request access · Unstale Migrate';
  }, []);
  return (
    <EntryLayout title="Request access" lead="An administrator approves each request and assigns a client.">
      {sent ? <Sent /> : <RequestForm onSent={() => setSent(true)} />}
      <Text size="sm" c="dimmed" ta="center" mt="md">
        <Anchor component={Link} to="/sign-in" underline="always">
          Back to sign-in
        </Anchor>
      </Text>
    </EntryLayout>
  );
}

function Sent() {
  return (
    <Alert icon={<IconMailCheck />} color="spruce" title="Your request was sent" role="status">
      You can sign in with your e-mail address and password as soon as an administrator has approved it.
    </Alert>
  );
}

function RequestForm({ onSent }: { onSent: () => void }) {
  const [failure, setFailure] = useState<string | null>(null);
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: { name: '', email: '', password: '', requested_client: '', reason: '' },
    validate: {
      name: (value) => (value.trim() ? null : 'Enter your name'),
      email: (value) => (/^\S+@\S+$/.test(value) ? null : 'Enter your e-mail address'),
      password: (value) =>
        value.length >= PASSWORD_LENGTH_MIN ? null : `Use at least ${PASSWORD_LENGTH_MIN} characters`,
    },
  });

  const submit = async ({ requested_client, reason, ...required }: typeof form.values) => {
    setFailure(null);
    try {
      await requestAccess({
        ...required,
        ...(requested_client.trim() ? { requested_client: requested_client.trim() } : {}),
        ...(reason.trim() ? { reason: reason.trim() } : {}),
      });
      onSent();
    } catch (error) {
      form.setErrors(fieldMessages(error));
      setFailure(isApiError(error) ? (error.detail ?? error.title) : 'The request could not be sent.');
    }
  };

  return (
    <form onSubmit={form.onSubmit(submit)} noValidate>
      <Stack gap="md">
        {failure && (
          <Alert color="red" role="alert">
            {failure}
          </Alert>
        )}
        <TextInput label="Name" autoComplete="name" key={form.key('name')} {...form.getInputProps('name')} />
        <TextInput
          label="E-mail"
          type="email"
          autoComplete="username"
          key={form.key('email')}
          {...form.getInputProps('email')}
        />
        <PasswordInput
          label="Password"
          description={`At least ${PASSWORD_LENGTH_MIN} characters`}
          autoComplete="new-password"
          visibilityToggleButtonProps={{ 'aria-label': 'Show the password' }}
          key={form.key('password')}
          {...form.getInputProps('password')}
        />
        <TextInput
          label="Client (optional)"
          placeholder="The company you work with"
          key={form.key('requested_client')}
          {...form.getInputProps('requested_client')}
        />
        <Textarea
          label="Reason (optional)"
          autosize
          minRows={2}
          key={form.key('reason')}
          {...form.getInputProps('reason')}
        />
        <Button type="submit" loading={form.submitting}>
          Send the request
        </Button>
      </Stack>
    </form>
  );
}
