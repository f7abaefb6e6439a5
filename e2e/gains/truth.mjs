/** What the database holds, read past everything that could be out of date. */
import { DatabaseSync } from 'node:sqlite';
import path from 'node:path';

const bytes = (id) => Buffer.from(id.replaceAll('-', ''), 'hex');

export function openTruth(dataDir) {
  const database = new DatabaseSync(path.join(dataDir, 'unstale.db'), { readOnly: true });
  const one = (sql, ...parameters) => Object.values(database.prepare(sql).get(...parameters) ?? { none: undefined })[0];
  const all = (sql, ...parameters) => database.prepare(sql).all(...parameters).map((row) => Object.values(row)[0]);

  /** What should be on screen for a fact that was; undefined where that does not follow from the database alone. */
  function expected(fact, { engagementId, clientId }) {
    const [kind, id, ...rest] = fact.split(' ');
    if (fact === 'engagement') return one('SELECT name FROM engagements WHERE id = ?', bytes(engagementId));
    if (fact === 'engagement names') {
      return all('SELECT name FROM engagements WHERE client_account_id = ?', bytes(clientId)).sort().join('\n');
    }
    if (fact === 'inventory columns') {
      const approved = one(
        `SELECT count(DISTINCT target_attribute) FROM field_mappings WHERE status = 'approved' AND import_id =
          (SELECT id FROM imports WHERE engagement_id = ? ORDER BY id LIMIT 1)`,
        bytes(engagementId),
      );
      return approved === 0 ? undefined : String(approved + 1);
    }
    if (kind === 'flow') return one('SELECT name FROM discovery_flows WHERE id = ?', bytes(id));
    if (kind === 'mapping') {
      const sql = 'SELECT status FROM field_mappings WHERE import_id = ? AND source_column = ?';
      return one(sql, bytes(id), rest.join(' '));
    }
    throw new Error(`nobody knows what "${fact}" is`);
  }

  return {
    /** The facts on screen that are not what the database holds. */
    stale: (shown, context) =>
      Object.entries(shown).flatMap(([fact, was]) => {
        const is = expected(fact, context);
        return is === undefined || is === was ? [] : [{ fact, was, is }];
      }),
    compared: (shown, context) =>
      Object.keys(shown).filter((fact) => expected(fact, context) !== undefined).length,
    close: () => database.close(),
  };
}
