/**
 * What one tab remembers of its acting context over a reload. Versioned and expiring, in session storage only:
 * nothing of it outlives the tab, and signing out or switching the client clears it.
 */
const KEY = 'unstale-migrate:context:v1';
const LIFETIME_MS = 12 * 60 * 60 * 1000;

export interface StoredContext {
  userId: string;
  clientId: string | null;
  engagementId: string | null;
}

function isStored(value: unknown): value is StoredContext & { expiresAt: number } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'userId' in value &&
    'expiresAt' in value &&
    typeof value.expiresAt === 'number'
  );
}

export const contextStorage = {
  read(now: number): StoredContext | null {
    try {
      const parsed: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
      return isStored(parsed) && parsed.expiresAt > now ? parsed : null;
    } catch {
      // Storage may be switched off; the server's defaults then decide.
      return null;
    }
  },

  write(context: StoredContext, now: number): void {
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ ...context, expiresAt: now + LIFETIME_MS }));
    } catch {
      // As above: remembering is a convenience.
    }
  },

  clear(): void {
    try {
      sessionStorage.removeItem(KEY);
    } catch {
      // Nothing was stored either.
    }
  },
};
