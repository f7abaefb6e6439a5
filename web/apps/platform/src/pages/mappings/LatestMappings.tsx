import { IconArrowsExchange } from '@tabler/icons-react';
import { LatestImport } from '../../components/LatestImport';

/** The navigation's entry: the newest import that has mappings. */
export function Page() {
  return (
    <LatestImport
      page="mappings"
      title="Field mappings"
      icon={<IconArrowsExchange size={26} />}
      none="Nothing to map yet"
    >
      When a file has been imported, its columns and their suggested targets are reviewed here.
    </LatestImport>
  );
}
