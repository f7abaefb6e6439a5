/** An Azure Migrate import file with as many servers as asked for; the same call gives the same bytes. */
const HEADER = [
  '*Server name',
  'IP addresses',
  '*Cores',
  '*Memory (In MB)',
  '*OS name',
  'OS version',
  'OS architecture',
  'CPU utilization percentage',
  'Memory utilization percentage',
  'Boot type',
  'Number of disks',
  'Disk 1 size (In GB)',
];

export function azureMigrateCsv(rows, prefix = 'srv') {
  const lines = Array.from({ length: rows }, (_, index) =>
    [
      serverName(index, prefix),
      `10.7.${Math.floor(index / 250)}.${(index % 250) + 1}`,
      2 << (index % 4),
      4096 << (index % 3),
      index % 3 === 0 ? 'Red Hat Enterprise Linux' : 'Windows Server 2019',
      index % 3 === 0 ? '8.6' : '10.0.17763',
      'x64',
      index % 90,
      (index * 7) % 90,
      index % 2 === 0 ? 'UEFI' : 'BIOS',
      1 + (index % 4),
      80 + (index % 9) * 40,
    ].join(','),
  );
  return [HEADER.join(','), ...lines, ''].join('\r\n');
}

export const serverName = (index, prefix = 'srv') => `${prefix}-${String(index + 1).padStart(4, '0')}`;

export const csvFile = (name, text) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(text, 'utf8') });

/** A file with as many columns as asked for, of which the platform knows a few. */
export function wideCsv(columns) {
  const known = HEADER.slice(0, 6);
  const names = [...known, ...Array.from({ length: columns - known.length }, (_, index) => `Site note ${index + 1}`)];
  const row = (index) => names.map((_, place) => (place < 6 ? azureMigrateCsv(3).split('\r\n')[index].split(',')[place] : `n${place}`));
  return [names.join(','), ...[1, 2, 3].map((index) => row(index).join(',')), ''].join('\r\n');
}

/**
 * Servers of which some values are doubtful: an environment that is spelled in two ways and not known at all, memory with
 * a unit, an address that is none, a name that two have.
 */
export function doubtfulCsv(rows, prefix = 'srv') {
  const lines = Array.from({ length: rows }, (_, index) =>
    [
      serverName(index === 9 ? 8 : index, prefix),
      index === 4 ? '10.0.0.300' : `10.9.0.${index + 1}`,
      2 << (index % 4),
      index === 5 ? '16 GB' : 4096 << (index % 3),
      'Windows Server 2019',
      index < 2 ? 'production' : index === 2 ? 'n/a' : 'Production',
    ].join(','),
  );
  return ['*Server name,IP addresses,*Cores,*Memory (In MB),*OS name,Environment', ...lines, ''].join('\r\n');
}
