import { Button, MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { IconPlugConnectedX } from '@tabler/icons-react';
import { UnstaleProvider } from '@unstale/client/react';
import { RouterProvider } from 'react-router/dom';
import { Notice, Splash } from './components/states';
import { router } from './router';
import { unstale, useAuth } from './session/session';
import { theme } from './theme/theme';

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <Notifications position="bottom-right" />
      <UnstaleProvider unstale={unstale}>
        <Start />
      </UnstaleProvider>
    </MantineProvider>
  );
}

function Start() {
  const { status } = useAuth();
  if (status === 'starting') return <Splash />;
  if (status === 'unreachable') {
    return (
      <main>
        <Notice
          icon={<IconPlugConnectedX size={26} />}
          title="The server cannot be reached"
          color="red"
          action={<Button onClick={() => void unstale.retry()}>Try again</Button>}
        >
          Check your connection. Nothing you entered has been sent.
        </Notice>
      </main>
    );
  }
  return <RouterProvider router={router} />;
}
