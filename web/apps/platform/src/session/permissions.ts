import { useUserContext } from '../api/queries';
import type { Permission } from '../api/types';

/** What the role allows decides what is shown; the server decides again at every request. */
export function usePermissions(): (permission: Permission) => boolean {
  const { data } = useUserContext();
  return (permission) => data?.permissions.includes(permission) ?? false;
}
