import { useSaveConfiguration } from '../../../api/mutations';
import type { CacheConfiguration, Configuration } from '../../../api/types';
import { announce, announceFailure, faultMessages } from '../../../components/feedback';

/** Puts another configuration in force. `onFaults` is told what the server says of single fields. */
export function useConfigure({ version }: CacheConfiguration) {
  const save = useSaveConfiguration();
  const configure = (
    configuration: Configuration,
    reason: string,
    on: { done: () => void; faults?: (messages: string[]) => void },
  ) =>
    save.mutate(
      { configuration, reason, version },
      {
        onSuccess: ({ data }) => {
          announce(`Version ${data.version} is in force; other nodes follow within a second.`);
          on.done();
        },
        onError: (error) => {
          const faults = faultMessages(error);
          if (faults.length > 0 && on.faults) on.faults(faults);
          else announceFailure('Nothing was changed', error);
        },
      },
    );
  return { configure, isPending: save.isPending };
}
