import { Button, MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { IconPlugConnectedX } from '@tabler/icons-react';
import { UnstaleProvider } from '@unstale/client/react';
import { useLayoutEffect } from 'react';
import { RouterProvider } from 'react-router/dom';
import { forgetAnnouncements } from './components/feedback';
import { Notice, Splash } from './components/states';
import { router } from './router';
import { unstale, useAuth } from './session/session';
import { theme } from './theme/theme';

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <Announcements />
      <UnstaleProvider unstale={unstale}>
        <Start />
      </UnstaleProvider>
    </MantineProvider>
  );
}

function Announcements() {
  const auth = useAuth();
  const session = auth.status === 'signed-in' ? auth.session.id : null;
  // With the end of the session that is on screen, and before anything is announced of the next.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the session is what ends
  useLayoutEffect(() => forgetAnnouncements, [session]);
  // Another one, so that what is on screen goes at once.
  return <Notifications key={session} position="bottom-right" />;
}

function Start() {
  const { status } = useAuth();
  if (status === 'starting') return <Splash />;
  if (status === 'unreachable') {
    return (
      <main>
        <Notice
          isPage
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
