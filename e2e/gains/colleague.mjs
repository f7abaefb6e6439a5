/** Somebody else who works for the same client, over the API; and the one who throws the switches. */
import { PASSWORD } from '../support/browser.mjs';

export async function signedIn(url, email) {
  const login = await fetch(`${url}/api/v1/auth/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ email, password: PASSWORD }),
  });
  if (!login.ok) throw new Error(`${email} cannot sign in: ${login.status}`);
  const { access_token: token } = await login.json();

  return async function call(method, path, body, clientId) {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(clientId ? { 'X-Client-Account-Id': clientId } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`);
    return text === '' ? null : JSON.parse(text);
  };
}

export const COLLEAGUE = 'colleague@meridian.test';

const SWITCHES = ['USE_CUSTOM_API_CACHE', 'USE_REDIS_CACHE', 'ENABLE_CACHE_HEADERS'];

/** Every read from the database, for everybody. */
export async function switchOff(url) {
  const operator = await signedIn(url, 'operator@platform.test');
  for (const flag of SWITCHES) await operator('PUT', `/admin/cache/flags/${flag}`, { killed: true, percentage: 0 });
}
