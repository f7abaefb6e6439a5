import { beforeEach, describe, expect, it } from 'vitest';
import { contextStorage } from '../src/session/context-storage';

const context = { userId: 'u', clientId: 'c', engagementId: 'e' };
const HOUR_MS = 3_600_000;

beforeEach(() => sessionStorage.clear());

describe('the stored context', () => {
  it('is read back until it expires', () => {
    contextStorage.write(context, 0);
    expect(contextStorage.read(HOUR_MS)).toMatchObject(context);
    expect(contextStorage.read(12 * HOUR_MS)).toBeNull();
  });

  it('is gone when cleared', () => {
    contextStorage.write(context, 0);
    contextStorage.clear();
    expect(contextStorage.read(0)).toBeNull();
    expect(sessionStorage.length).toBe(0);
  });

  it('is ignored if it cannot be understood', () => {
    sessionStorage.setItem('unstale-migrate:context:v1', '{"userId":');
    expect(contextStorage.read(0)).toBeNull();
    sessionStorage.setItem('unstale-migrate:context:v1', '[]');
    expect(contextStorage.read(0)).toBeNull();
  });
});
