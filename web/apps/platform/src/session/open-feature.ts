/** OpenFeature, in a chunk of its own: loaded once somebody is signed in. */

import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, type Provider, ProviderEvents } from '@openfeature/web-sdk';

export interface Evaluation {
  boolean(flag: string, otherwise: boolean): boolean;
  /** Asks the server again, for this user. */
  ask(context: Record<string, string>): Promise<void>;
}

/** Asks the server of this origin; `onChange` hears whenever it answered. */
export async function openFlags(
  context: Record<string, string>,
  onChange: (evaluation: Evaluation) => void,
): Promise<Evaluation> {
  const client = OpenFeature.getClient();
  const evaluation: Evaluation = {
    boolean: (flag, otherwise) => client.getBooleanValue(flag, otherwise),
    ask: async (next) => {
      await OpenFeature.setContext(next);
      onChange(evaluation);
    },
  };
  client.addHandler(ProviderEvents.ConfigurationChanged, () => onChange(evaluation));
  await OpenFeature.setContext(context);
  // Nothing is stored: what is asked for a user must not outlive their session. Nothing is polled: changes are told.
  // Unknown in between, because its types were not written for `exactOptionalPropertyTypes`.
  const provider: unknown = new OFREPWebProvider({
    baseUrl: location.origin,
    pollInterval: 0,
    cacheMode: 'disabled',
    changeDetection: 'none',
  });
  await OpenFeature.setProviderAndWait(provider as Provider);
  onChange(evaluation);
  return evaluation;
}
