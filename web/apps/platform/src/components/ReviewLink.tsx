import { Button } from '@mantine/core';
import { Link } from 'react-router';
import { getFieldMappings, getMappingStatistics, listImports, listTargetAttributes } from '../api/reads';
import { useIntent } from '../session/intent';

interface ReviewLinkProps {
  importId: string;
  engagementId: string;
}

/** Leads to the mappings of an import; all that its page begins with is read when somebody is about to go there. */
export function ReviewLink({ importId, engagementId }: ReviewLinkProps) {
  const onIntent = useIntent();
  const to = `/imports/${importId}/mappings`;
  const begins = [
    getFieldMappings({ import_id: importId }),
    getMappingStatistics({ import_id: importId }),
    listTargetAttributes(),
    listImports({ engagement_id: engagementId }),
  ];
  return (
    <Button component={Link} to={to} {...onIntent(to, begins)}>
      Review field mappings
    </Button>
  );
}
