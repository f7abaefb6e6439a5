// Each character can be read in one way only, and only once: however the header is made, it takes time by its length.
const MEMBER = /(?:\s*"((?:[^"\\]|\\["\\])*)"\s*(?:;(?:[^,;"]|"(?:[^"\\]|\\.)*")*)*|[^",]*)(?:,|$)/gy;

/**
 * Reads `Cache-Groups` (RFC 9875): a structured-field list of strings, such as `"a1", "b2";x=1`.
 * Parameters, and members that are no strings, carry nothing for us and are skipped; a malformed rest is dropped, because a
 * group that cannot be read only costs precision of invalidation, never the answer.
 */
export function parseCacheGroups(header: string | null): string[] {
  const groups: string[] = [];
  for (const [, group] of (header ?? '').matchAll(MEMBER)) {
    if (group !== undefined) groups.push(group.replace(/\\(["\\])/g, '$1'));
  }
  return groups;
}
