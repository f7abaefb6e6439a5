/** W3C Trace Context: a `traceparent` of a new trace, so that the server's spans can be found from the browser's. */
export function traceparent(sampled = true): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-${sampled ? '01' : '00'}`;
}
