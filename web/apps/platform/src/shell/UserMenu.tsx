import { Avatar, Box, Menu, Text, UnstyledButton, VisuallyHidden } from '@mantine/core';
import { IconArrowsLeftRight, IconLogout, IconMoon, IconSun } from '@tabler/icons-react';
import { Link } from 'react-router';
import { useUserContext } from '../api/queries';
import { announceFailure } from '../components/feedback';
import { roleLabel } from '../lib/format';
import { signOut } from '../session/session';
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
        <Menu.Item component={Link} to="/choose" leftSection={<IconArrowsLeftRight size={16} />}>
          Client and engagement
        </Menu.Item>
        <Menu.Item onClick={toggle} leftSection={dark ? <IconSun size={16} /> : <IconMoon size={16} />}>
          {dark ? 'Light colours' : 'Dark colours'}
        </Menu.Item>
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
