import { Avatar, Box, Menu, Text, UnstyledButton, VisuallyHidden } from '@mantine/core';
import {
  IconArrowsLeftRight,
  IconCloudDown,
  IconCloudOff,
  IconLogout,
  IconMoon,
  IconSun,
} from '@tabler/icons-react';
import { useStore } from '@unstale/client/react';
import { useReducer } from 'react';
import { Link } from 'react-router';
import { useUserContext } from '../api/queries';
import { listOwnClients } from '../api/reads';
import { announce, announceFailure } from '../components/feedback';
import { roleLabel } from '../lib/format';
import { flags } from '../session/flags';
import { useIntent } from '../session/intent';
import { isOfflineSupported, isOfflineWanted } from '../session/offline';
import { setOffline, signOut } from '../session/session';
import { useColorSchemeToggle } from './ColorSchemeToggle';

export function UserMenu() {
  const { data } = useUserContext();
  const { dark, toggle } = useColorSchemeToggle();
  const name = data?.user.name ?? '';
  return (
    <Menu position="bottom-end" width={240} withinPortal>
      <Menu.Target>
        <UnstyledButton style={{ borderRadius: '50%' }}>
          <VisuallyHidden>Account of {name}</VisuallyHidden>
          <Avatar name={name} color="spruce" size={34} aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Box px="sm" py="xs">
          <Text size="sm" fw={580}>
            {name}
          </Text>
          <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            {data?.user.email}
          </Text>
          {data?.role && (
            <Text size="xs" c="dimmed">
              {roleLabel[data.role]}
            </Text>
          )}
        </Box>
        <Menu.Divider />
        <ChoiceItem />
        <Menu.Item onClick={toggle} leftSection={dark ? <IconSun size={16} /> : <IconMoon size={16} />}>
          {dark ? 'Light colours' : 'Dark colours'}
        </Menu.Item>
        <OfflineItem />
        <Menu.Divider />
        <Menu.Item
          leftSection={<IconLogout size={16} />}
          onClick={() =>
            void signOut().catch((error: unknown) =>
              announceFailure('The server was not told of the sign-out', error),
            )
          }
        >
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function ChoiceItem() {
  const onIntent = useIntent();
  return (
    <Menu.Item
      component={Link}
      to="/choose"
      leftSection={<IconArrowsLeftRight size={16} />}
      {...onIntent('/choose', [listOwnClients()])}
    >
      Client and engagement
    </Menu.Item>
  );
}

/** Off by default: what one reads is then kept on this device, sealed, until one signs out. */
function OfflineItem() {
  const allowed = useStore(flags.store, ({ ENABLE_OFFLINE_READING }) => ENABLE_OFFLINE_READING);
  const [, lookAgain] = useReducer((times: number) => times + 1, 0);
  const wanted = isOfflineWanted();
  if (!allowed || !isOfflineSupported()) return null;
  const toggle = async () => {
    await setOffline(!wanted);
    lookAgain();
    announce(
      wanted
        ? 'Nothing is kept for reading offline any more.'
        : 'What you read in this tab can now be read offline, until you sign out.',
    );
  };
  return (
    <Menu.Item
      onClick={() =>
        void toggle().catch((error: unknown) => announceFailure('This browser cannot keep pages', error))
      }
      leftSection={wanted ? <IconCloudOff size={16} /> : <IconCloudDown size={16} />}
    >
      {wanted ? 'Stop reading offline' : 'Keep for reading offline'}
    </Menu.Item>
  );
}
