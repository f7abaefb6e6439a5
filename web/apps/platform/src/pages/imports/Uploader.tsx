import { Alert, Button, Group, Progress, Stack, Text } from '@mantine/core';
import { Dropzone, type FileRejection } from '@mantine/dropzone';
import { IconFileSpreadsheet, IconUpload, IconX } from '@tabler/icons-react';
import { isApiError, type UploadProgress } from '@unstale/client';
import { refreshAhead, useCoherentSession } from '@unstale/client/react';
import { useEffect, useRef, useState } from 'react';
import { useNavigate } from 'react-router';
import type { ImportAccepted } from '../../api/types';
import { formatBytes, formatPercent } from '../../lib/format';
import classes from './Uploader.module.css';

/** What the server takes; said beforehand, so that nobody waits for a refusal. */
const SIZE_MAX_MIB = 256;

interface Running {
  fileName: string;
  progress: UploadProgress;
}

/** Sends one CSV file; the import itself then goes on at the server, on the import's own page. */
export function Uploader({ engagementId, flowId }: { engagementId: string; flowId: string | null }) {
  const [running, setRunning] = useState<Running | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const abort = useRef<AbortController | null>(null);
  const session = useCoherentSession();
  const navigate = useNavigate();
  useEffect(() => () => abort.current?.abort(), []);

  const send = async ([file]: File[]) => {
    if (!file) return;
    const controller = new AbortController();
    abort.current = controller;
    setFailure(null);
    setRunning({ fileName: file.name, progress: { sentBytes: 0, totalBytes: file.size } });
    const form = new FormData();
    form.append('file', file);
    try {
      const { data } = await session.api.upload<ImportAccepted>('/imports', form, {
        query: { engagement_id: engagementId, flow_id: flowId },
        signal: controller.signal,
        onProgress: (progress) => setRunning({ fileName: file.name, progress }),
      });
      // The page that shows what has changed is left; without events everything counts as changed.
      void refreshAhead(session, []);
      navigate(`/imports/${data.import_id}`);
    } catch (error) {
      setRunning(null);
      if (controller.signal.aborted) return;
      setFailure(isApiError(error) ? (error.detail ?? error.title) : 'The file could not be sent.');
    }
  };

  if (running) return <Sending running={running} onCancel={() => abort.current?.abort()} />;
  return (
    <Stack gap="sm">
      {failure && (
        <Alert
          color="red"
          title="The file was not imported"
          role="alert"
          withCloseButton
          closeButtonLabel="Dismiss"
          onClose={() => setFailure(null)}
        >
          {failure}
        </Alert>
      )}
      <Dropzone
        onDrop={(files) => void send(files)}
        onReject={(rejections) => setFailure(rejectionText(rejections))}
        accept={{
          'text/csv': ['.csv'],
          'text/plain': ['.csv', '.txt'],
          'application/vnd.ms-excel': ['.csv'],
        }}
        maxSize={SIZE_MAX_MIB * 1024 * 1024}
        multiple={false}
        className={classes.zone ?? ''}
        inputProps={{ 'aria-label': 'CSV file' }}
        aria-label="Choose a CSV file to import"
      >
        <Group justify="center" gap="md" className={classes.inner ?? ''}>
          <Dropzone.Accept>
            <IconUpload size={36} stroke={1.4} aria-hidden />
          </Dropzone.Accept>
          <Dropzone.Reject>
            <IconX size={36} stroke={1.4} aria-hidden />
          </Dropzone.Reject>
          <Dropzone.Idle>
            <IconFileSpreadsheet size={36} stroke={1.4} aria-hidden />
          </Dropzone.Idle>
          <div>
            <Text fw={560}>Drop a CSV file here, or press to choose one</Text>
            <Text size="sm" c="dimmed">
              {flowId ? 'It is added to the flow you came from.' : 'A new discovery flow is started for it.'}{' '}
              Up to {SIZE_MAX_MIB} MiB.
            </Text>
          </div>
        </Group>
      </Dropzone>
    </Stack>
  );
}

function rejectionText(rejections: readonly FileRejection[]): string {
  const [first] = rejections;
  if (rejections.length > 1) return 'Please import one file at a time.';
  if (first?.errors.some(({ code }) => code === 'file-too-large')) {
    return `“${first.file.name}” is larger than ${SIZE_MAX_MIB} MiB.`;
  }
  return `“${first?.file.name ?? 'This'}” is not a CSV file.`;
}

function Sending({ running: { fileName, progress }, onCancel }: { running: Running; onCancel: () => void }) {
  const percent = progress.totalBytes === 0 ? 100 : (100 * progress.sentBytes) / progress.totalBytes;
  return (
    <Stack className="card" p="lg" gap="sm">
      <Group justify="space-between" wrap="nowrap">
        <Text fw={560} style={{ overflowWrap: 'anywhere' }}>
          Sending {fileName}
        </Text>
        <Button variant="default" size="xs" onClick={onCancel}>
          Cancel
        </Button>
      </Group>
      <Progress value={percent} aria-label={`Sending ${fileName}`} />
      <Text size="sm" c="dimmed" className="numeric">
        {formatBytes(progress.sentBytes)} of {formatBytes(progress.totalBytes)} · {formatPercent(percent)}
      </Text>
    </Stack>
  );
}
