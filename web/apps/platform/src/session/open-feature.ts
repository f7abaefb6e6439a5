/** OpenFeature, in a chunk of its own: loaded once somebody is signed in. */

import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, type Provider, ProviderEvents } from '@openfeature/web-sdk';

export interface Evaluation {
  boolean(flag: string, otherwise: boolean): boolean;
  /** Asks the server again, for this user. Resolves with whether there is no need to try again. */
  ask(context: FlagContext): Promise<boolean>;
}

/** Who asks, for the client that they act for. */
export type FlagContext = { targetingKey: string; clientAccountId?: string };

/** Asks the server of this origin; `onChange` hears whenever it answered. */
export async function openFlags(
  context: FlagContext,
  onChange: (evaluation: Evaluation) => void,
): Promise<Evaluation> {
  const client = OpenFeature.getClient();
  let current = context;
  let answered = false;
  /** The provider tells nobody whether it was answered. */
  const send: typeof fetch = async (input, init) => {
    answered = false;
    const response = await fetch(input, init);
    answered = response.ok || response.status === 304 || response.status === 404;
    return response;
  };
  const evaluation: Evaluation = {
    boolean: (flag, otherwise) => client.getBooleanValue(flag, otherwise),
    ask: async (next) => {
      current = next;
      answered = false;
      await OpenFeature.setContext({ ...next });
      onChange(evaluation);
      return answered;
    },
  };
  client.addHandler(ProviderEvents.ConfigurationChanged, () => onChange(evaluation));
  await OpenFeature.setContext({ ...context });
  // Nothing is stored: what is asked for a user must not outlive their session. Nothing is polled: changes are told.
  // Unknown in between, because its types were not written for `exactOptionalPropertyTypes`.
  const provider: unknown = new OFREPWebProvider({
    baseUrl: location.origin,
    pollInterval: 0,
    cacheMode: 'disabled',
    changeDetection: 'none',
    fetchImplementation: send,
    // As the session's own requests do: the server tells of a switch to whoever asked for the client they listen for.
    headersFactory: async () =>
      current.clientAccountId ? [['X-Client-Account-Id', current.clientAccountId]] : [],
  });
  try {
    await OpenFeature.setProviderAndWait(provider as Provider);
  } catch (error) {
    // A server that has no flags has answered. Of another, the next attempt is with a provider of its own.
    if (!answered) {
      await OpenFeature.clearProviders();
      throw error;
    }
  }
  onChange(evaluation);
  return evaluation;
}
