import { Select } from '@mantine/core';
import { useNavigate } from 'react-router';
import { useImports } from '../api/queries';

interface ImportChoiceProps {
  importId: string;
  engagementId: string;
  /** The page of an import, below its address. */
  page: 'mappings' | 'cleansing';
}

/** The same page for another import of the engagement; nothing if there is no other. */
export function ImportChoice({ importId, engagementId, page }: ImportChoiceProps) {
  const imports = useImports(engagementId);
  const navigate = useNavigate();
  const options = (imports.data?.items ?? [])
    .filter(({ status }) => status === 'completed')
    .map(({ id, file_name }) => ({ value: id, label: file_name }));
  if (options.length < 2) return null;
  return (
    <Select
      aria-label="Import"
      data={options}
      value={importId}
      allowDeselect={false}
      onChange={(id) => id && navigate(`/imports/${id}/${page}`)}
      w={{ base: '100%', xs: 280 }}
    />
  );
}
