import { Button, Text } from '@mantine/core';
import { IconArrowsExchange, IconServer2 } from '@tabler/icons-react';
import { Link, useParams } from 'react-router';
import { useDataQuality } from '../../api/queries';
import type { DataQuality } from '../../api/types';
import { ImportChoice } from '../../components/ImportChoice';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { ReviewLink } from '../../components/ReviewLink';
import { Notice, PageLoading } from '../../components/states';
import { formatNumber } from '../../lib/format';
import { CleansingFigures } from './CleansingFigures';
import { Corrections } from './Corrections';
import { IssueBoard } from './IssueBoard';

export function Page() {
  const { importId = '' } = useParams();
  const quality = useDataQuality(importId);
  return (
    <QueryView query={quality} loading={<PageLoading />}>
      {/* The key drops selection, filters and what was typed with the import they were for. */}
      {(data) => <CleansingPage key={importId} quality={data} />}
    </QueryView>
  );
}

function CleansingPage({ quality }: { quality: DataQuality }) {
  const { import_id: importId, engagement_id: engagementId, attributes, corrections } = quality;
  return (
    <>
      <PageHeader
        title="Data cleansing"
        back={{ to: `/imports/${importId}`, label: quality.file_name }}
        description="A correction holds wherever the value stands in its column. The file’s own values are kept, so each can be undone."
        actions={
          <>
            <ImportChoice importId={importId} engagementId={engagementId} page="cleansing" />
            <Button
              component={Link}
              to={`/inventory?import=${importId}`}
              variant="default"
              leftSection={<IconServer2 size={17} aria-hidden />}
            >
              Show its assets
            </Button>
          </>
        }
      />
      {attributes.length === 0 ? (
        <NothingApproved quality={quality} />
      ) : (
        <>
          <CleansingFigures quality={quality} />
          {quality.rows_inspected < quality.rows && <PartlyInspected quality={quality} />}
          <IssueBoard quality={quality} />
        </>
      )}
      {corrections.length > 0 && <Corrections importId={importId} corrections={corrections} />}
    </>
  );
}

function PartlyInspected({ quality: { rows, rows_inspected } }: { quality: DataQuality }) {
  return (
    <Text size="sm" c="dimmed" mb="md">
      The file is large: its first {formatNumber(rows_inspected)} rows of {formatNumber(rows)} were looked at.
      Corrections reach all of them.
    </Text>
  );
}

function NothingApproved({ quality }: { quality: DataQuality }) {
  const { import_id: importId, engagement_id: engagementId } = quality;
  return (
    <Notice
      icon={<IconArrowsExchange size={26} />}
      title="No mapping is approved yet"
      action={<ReviewLink importId={importId} engagementId={engagementId} />}
    >
      Values are judged by what their column is mapped to. Approve mappings, and what is doubtful about their
      values appears here by itself.
    </Notice>
  );
}
