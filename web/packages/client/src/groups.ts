/**
 * Reads `Cache-Groups` (RFC 9875): a structured-field list of strings, such as `"a1", "b2";x=1`.
 * Parameters carry nothing for us and are skipped; a malformed rest is dropped, because a group that
 * cannot be read only costs precision of invalidation, never the answer.
 */
export function parseCacheGroups(header: string | null): string[] {
  if (!header) return [];
  const groups: string[] = [];
  for (const match of header.matchAll(
    /"((?:[^"\\]|\\["\\])*)"(?:;[^,"]*(?:"(?:[^"\\]|\\.)*")?[^,"]*)*\s*(?:,|$)/g,
  )) {
    groups.push((match[1] ?? '').replace(/\\(["\\])/g, '$1'));
  }
  return groups;
}
