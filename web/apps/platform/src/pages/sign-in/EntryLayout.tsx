import { Box, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { Logo } from '../../components/Logo';
import { ColorSchemeToggle } from '../../shell/ColorSchemeToggle';
import classes from './EntryLayout.module.css';

/** The frame of the pages before sign-in. */
export function EntryLayout({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <div className={classes.frame}>
      <main className={classes.main}>
        <div className={classes.top}>
          <Logo />
          <ColorSchemeToggle />
        </div>
        <Box className={classes.form}>
          <Title order={1}>{title}</Title>
          <Text c="dimmed" mt={6} mb="xl">
            {lead}
          </Text>
          {children}
        </Box>
      </main>
      <aside className={classes.aside} aria-label="About Unstale Migrate">
        <Stack gap="xl" maw={440}>
          <Text fz={30} fw={600} lh={1.25} lts="-0.015em">
            From a spreadsheet of servers to a reviewed inventory.
          </Text>
          <ol className={classes.steps}>
            <li>
              <strong>Import</strong> the export of your discovery tool. Its columns are recognised.
            </li>
            <li>
              <strong>Review</strong> the suggested field mappings together, each with its reason.
            </li>
            <li>
              <strong>Plan</strong> on an asset inventory that is the same on every screen.
            </li>
          </ol>
        </Stack>
      </aside>
    </div>
  );
}
