import { Button, MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { IconPlugConnectedX } from '@tabler/icons-react';
import { RouterProvider } from 'react-router/dom';
import { Notice, Splash } from './components/states';
import { router } from './router';
import { bootSession } from './session/session';
import { usePlatformStore } from './session/store';
import { theme } from './theme/theme';

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <Notifications position="bottom-right" />
      <Start />
    </MantineProvider>
  );
}

function Start() {
  const status = usePlatformStore((state) => state.auth.status);
  if (status === 'starting') return <Splash />;
  if (status === 'unreachable') {
    return (
      <main>
        <Notice
          icon={<IconPlugConnectedX size={26} />}
          title="The server cannot be reached"
          color="red"
          action={<Button onClick={() => void bootSession()}>Try again</Button>}
        >
          Check your connection. Nothing you entered has been sent.
        </Notice>
      </main>
    );
  }
  return <RouterProvider router={router} />;
}
