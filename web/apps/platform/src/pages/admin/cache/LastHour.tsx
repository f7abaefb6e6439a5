import { Box, Group, Text } from '@mantine/core';
import { useCachePerformance } from '../../../api/queries';
import { QueryView } from '../../../components/QueryView';
import { Section } from '../../../components/Section';
import { type Bar, minutes } from '../../../lib/cache-figures';
import { formatNumber } from '../../../lib/format';
import classes from './LastHour.module.css';

const MINUTES = 60;
const [WIDTH, HEIGHT] = [720, 120];
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false });

/** Reads by minute: answered from the cache, and loaded. */
export function LastHour() {
  const performance = useCachePerformance();
  return (
    <Section title="The last hour" note="Reads by minute, over all nodes.">
      <Box className="card" p="md">
        <QueryView query={performance}>
          {({ items }) => <Bars bars={minutes(items, performance.dataUpdatedAt, MINUTES)} />}
        </QueryView>
      </Box>
    </Section>
  );
}

function Bars({ bars }: { bars: readonly Bar[] }) {
  const highest = Math.max(1, ...bars.map(({ served, loaded }) => served + loaded));
  const step = WIDTH / bars.length;
  const tall = (count: number) => (count * HEIGHT) / highest;
  const served = bars.reduce((sum, bar) => sum + bar.served, 0);
  const loaded = bars.reduce((sum, bar) => sum + bar.loaded, 0);
  const said = `${formatNumber(served)} reads answered from the cache and ${formatNumber(loaded)} loaded in the last hour`;
  return (
    <>
      <Group gap="lg" mb="sm" justify="space-between">
        <Group gap="lg">
          <Key look={classes.served} name="From the cache" count={served} />
          <Key look={classes.loaded} name="Loaded" count={loaded} />
        </Group>
        <Text size="xs" c="dimmed" className="numeric">
          {served + loaded === 0 ? 'nothing was read' : `at most ${formatNumber(highest)} a minute`}
        </Text>
      </Group>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        className={classes.bars}
        preserveAspectRatio="none"
        role="img"
        aria-label={said}
      >
        {bars.map(({ at, served: hits, loaded: loads }, index) => (
          <g key={at} transform={`translate(${index * step} 0)`}>
            <title>{`${clock.format(at)}: ${formatNumber(hits)} from the cache, ${formatNumber(loads)} loaded`}</title>
            <rect className={classes.whole} width={step} height={HEIGHT} />
            <rect
              className={classes.served}
              x={1}
              width={step - 2}
              y={HEIGHT - tall(hits)}
              height={tall(hits)}
            />
            <rect
              className={classes.loaded}
              x={1}
              width={step - 2}
              y={HEIGHT - tall(hits) - tall(loads)}
              height={tall(loads)}
            />
          </g>
        ))}
      </svg>
      <Group justify="space-between" mt={4}>
        {[bars[0], bars[MINUTES / 2], bars.at(-1)].map(
          (bar) =>
            bar && (
              <Text key={bar.at} size="xs" c="dimmed" className="numeric">
                {clock.format(bar.at)}
              </Text>
            ),
        )}
      </Group>
    </>
  );
}

function Key({ look, name, count }: { look: string | undefined; name: string; count: number }) {
  return (
    <Group gap={6}>
      <svg width={10} height={10} aria-hidden="true">
        <rect className={look} width={10} height={10} rx={2} />
      </svg>
      <Text size="sm">
        {name}{' '}
        <Text span c="dimmed" className="numeric">
          {formatNumber(count)}
        </Text>
      </Text>
    </Group>
  );
}
