import { Progress, SimpleGrid } from '@mantine/core';
import type { DataQuality } from '../../api/types';
import { Figure } from '../../components/Figure';
import { formatShare, issuesIn, issuesOf, soundPercent } from '../../lib/cleansing';
import { formatNumber, plural } from '../../lib/format';

export function CleansingFigures({ quality }: { quality: DataQuality }) {
  const { rows, attributes, doubtful, corrections } = quality;
  const sound = soundPercent(quality);
  const concerned = attributes.filter((attribute) => issuesIn(attribute) > 0).length;
  const correctedCells = corrections.reduce((sum, correction) => sum + correction.rows, 0);
  return (
    <SimpleGrid
      component="section"
      aria-label="Figures"
      cols={{ base: 2, lg: 4 }}
      spacing={{ base: 'sm', sm: 'md' }}
      mb="lg"
    >
      <Figure
        label="Rows"
        value={formatNumber(rows)}
        note={`of ${plural(attributes.length, 'approved column')}`}
        pending={false}
      />
      <Figure
        label="Without an issue"
        value={formatShare(sound)}
        note={<Progress value={sound} size={6} mt={8} aria-label="Values without an issue" />}
        pending={false}
      />
      <Figure
        label="Values to look at"
        value={formatNumber(issuesOf(quality))}
        note={
          doubtful === 0
            ? 'nothing doubtful'
            : `${plural(doubtful, 'cell')} of ${plural(concerned, 'attribute')}`
        }
        pending={false}
      />
      <Figure
        label="Corrections"
        value={formatNumber(corrections.length)}
        note={corrections.length === 0 ? 'none made yet' : `${plural(correctedCells, 'cell')} corrected`}
        pending={false}
      />
    </SimpleGrid>
  );
}
