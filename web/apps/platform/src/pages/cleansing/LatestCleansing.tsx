import { IconSparkles } from '@tabler/icons-react';
import { LatestImport } from '../../components/LatestImport';

/** The navigation's entry: the newest import that has values. */
export function Page() {
  return (
    <LatestImport
      page="cleansing"
      title="Data cleansing"
      icon={<IconSparkles size={26} />}
      none="Nothing to cleanse yet"
    >
      When a file has been imported and its mappings are approved, its doubtful values are corrected here.
    </LatestImport>
  );
}
