import { roleLabel } from '../../lib/format';

export const roleOptions = [
  { value: 'analyst', label: roleLabel.analyst },
  { value: 'client_admin', label: roleLabel.client_admin },
];

export const engagementStatusOptions = [
  { value: 'planned', label: 'Planned' },
  { value: 'active', label: 'Active' },
  { value: 'completed', label: 'Completed' },
];
