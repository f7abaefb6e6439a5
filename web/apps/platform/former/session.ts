import { useEverything } from './everything';

export * from '../src/session/session';

export const useAuth = () => useEverything().auth;
export const useClientId = () => useEverything().clientId;
export const useEngagementId = () => useEverything().engagementId;
export const useNavigationOpen = () => useEverything().navigationOpen;
