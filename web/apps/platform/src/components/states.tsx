import { Box, Button, Center, Group, Loader, Skeleton, Stack, Text, ThemeIcon, Title } from '@mantine/core';
import { IconAlertTriangle, IconLock, IconMapOff } from '@tabler/icons-react';
import { isApiError } from '@unstale/client';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

/** The states a page can be in besides showing its data, all in one look. */
interface NoticeProps {
  icon: ReactNode;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  color?: string;
  /** It is all that the page says, so its title is the page's. */
  isPage?: boolean;
}

export function Notice({ icon, title, children, action, color = 'gray', isPage = false }: NoticeProps) {
  return (
    <Center py={48} px="md">
      <Stack align="center" gap="sm" maw={440} ta="center">
        <ThemeIcon size={52} radius="xl" variant="light" color={color} aria-hidden>
          {icon}
        </ThemeIcon>
        <Title order={isPage ? 1 : 2} fz="lg">
          {title}
        </Title>
        {children && (
          <Text c="dimmed" size="sm" component="div">
            {children}
          </Text>
        )}
        {action && (
          <Group mt="xs" justify="center">
            {action}
          </Group>
        )}
      </Stack>
    </Center>
  );
}

export function NotFound({ isPage = false }: { isPage?: boolean }) {
  return (
    <Notice
      isPage={isPage}
      icon={<IconMapOff size={26} />}
      title="Not found"
      action={
        <Button component={Link} to="/overview" variant="default">
          Go to the overview
        </Button>
      }
    >
      There is nothing at this address, or it belongs to a client you are not working for.
    </Notice>
  );
}

export function Forbidden({ detail, isPage = false }: { detail?: string | undefined; isPage?: boolean }) {
  return (
    <Notice
      isPage={isPage}
      icon={<IconLock size={26} />}
      title="You may not see this page"
      color="yellow"
      action={
        <Button component={Link} to="/overview" variant="default">
          Go to the overview
        </Button>
      }
    >
      {detail ?? 'Your role for this client does not include it.'} An administrator of the client can change
      your role.
    </Notice>
  );
}

interface FailureProps {
  error: unknown;
  onRetry?: () => void;
  isPage?: boolean;
}

export function Failure({ error, onRetry, isPage = false }: FailureProps) {
  if (isApiError(error, 403)) return <Forbidden detail={error.detail} isPage={isPage} />;
  if (isApiError(error, 404)) return <NotFound isPage={isPage} />;
  return (
    <Notice
      isPage={isPage}
      icon={<IconAlertTriangle size={26} />}
      title={isApiError(error) ? error.title : 'Something went wrong'}
      color="red"
      action={onRetry && <Button onClick={onRetry}>Try again</Button>}
    >
      <span role="alert">
        {isApiError(error)
          ? (error.detail ?? `The server answered with status ${error.status}.`)
          : 'This page could not be shown.'}
      </span>
    </Notice>
  );
}

export function PageLoading() {
  return (
    <Stack gap="lg" aria-busy="true" aria-label="Loading" role="status">
      <Skeleton height={30} width="min(18rem, 70%)" />
      <SkeletonRows rows={6} />
    </Stack>
  );
}

export function SkeletonRows({ rows = 5 }: { rows?: number }) {
  return (
    <Box className="card" p="md" aria-busy="true" role="status" aria-label="Loading">
      <Stack gap="md">
        {Array.from({ length: rows }, (_, row) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: placeholders have no identity
          <Group key={row} wrap="nowrap" gap="md">
            <Skeleton height={14} width="34%" />
            <Skeleton height={14} width="22%" />
            <Skeleton height={14} width="16%" />
            <Skeleton height={14} width={56} ml="auto" />
          </Group>
        ))}
      </Stack>
    </Box>
  );
}

export function Splash() {
  return (
    <Center h="100vh" role="status" aria-label="Starting">
      <Loader type="dots" />
    </Center>
  );
}
