-- Every statement of the journal, by name. Values are bound, never pasted in.

-- name: shelf_find
SELECT id, first FROM shelves WHERE day = ? AND role = ? AND name = ? AND vin = ? AND source = ?

-- name: shelf_add
INSERT INTO shelves (day, role, name, vin, source, first) VALUES (?, ?, ?, ?, ?, ?)

-- name: shelf_first
SELECT first FROM shelves WHERE id = ?

-- name: body_find
SELECT id FROM bodies WHERE shelf = ? AND digest = ?

-- name: body_add
INSERT OR IGNORE INTO bodies (id, shelf, digest, data) VALUES (?, ?, ?, ?)

-- name: answer_add
INSERT OR IGNORE INTO answers (shelf, received_ms, bodies) VALUES (?, ?, ?)

-- name: answers_at
SELECT s.name, a.bodies FROM shelves s JOIN answers a ON a.shelf = s.id
WHERE s.day = ? AND s.role = 'answer' AND s.vin = ? AND s.source = ? AND a.received_ms = ?

-- name: body_get
SELECT s.name, b.shelf, b.data FROM bodies b JOIN shelves s ON s.id = b.shelf WHERE b.id = ?

-- name: record_revision
SELECT revision FROM records WHERE id = ?

-- name: record_remove
DELETE FROM records WHERE id = ?

-- name: record_add
INSERT OR IGNORE INTO records
    (seq, shelf, changed, data, id, received_ms, observed_ms, revision, replayed, fingerprint)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: next_numbers
-- The next body's id and the next record's seq: as with AUTOINCREMENT never one that was given out
-- before, and never one that is taken if SQLite's own counter is lost.
SELECT (SELECT coalesce(max(id), 0) + 1 FROM bodies),
       max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'records'), 0),
           coalesce((SELECT max(seq) FROM records), 0)) + 1

-- name: newest_of
SELECT received_ms, fingerprint FROM newest WHERE vin = ? AND source = ?

-- name: newest_put
INSERT INTO newest (vin, source, id, received_ms, observed_ms, revision, replayed, fingerprint, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (vin, source) DO UPDATE SET
    id = excluded.id, received_ms = excluded.received_ms, observed_ms = excluded.observed_ms,
    revision = excluded.revision, replayed = excluded.replayed, fingerprint = excluded.fingerprint,
    body = excluded.body

-- name: newest_all
SELECT id, vin, source, received_ms, observed_ms, revision, replayed, fingerprint, body
FROM newest ORDER BY vin, source

-- name: memory_get
SELECT value FROM memory WHERE key = ?

-- name: memory_put
INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- name: cursor_add
-- A new sink starts at the end: after the last seq ever given out, pruned ones included.
INSERT OR IGNORE INTO cursors (sink, position)
VALUES (?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'records'), 0))

-- name: cursor_get
SELECT position, replayed_to FROM cursors WHERE sink = ?

-- name: standing
-- Of a sink, all that a peek asks first: each statement costs a turn of the interpreter's lock.
SELECT position, replayed_to, (SELECT max(seq) FROM records),
       EXISTS (SELECT 1 FROM dead_letters d WHERE d.sink = c.sink AND d.state = 'retry')
FROM cursors c WHERE c.sink = ?

-- name: cursor_all
SELECT sink, position FROM cursors ORDER BY sink

-- name: cursor_settle
UPDATE cursors SET position = ? WHERE sink = ? AND position = ?

-- name: cursor_rewind
UPDATE cursors SET position = ?, replayed_to = max(replayed_to, ?) WHERE sink = ?

-- name: cursor_drop
DELETE FROM cursors WHERE sink = ?

-- name: first_after
SELECT seq, received_ms FROM records WHERE seq > ? ORDER BY seq LIMIT 1

-- name: last_through
SELECT max(seq) FROM records WHERE seq <= ?

-- name: last_seq
SELECT max(seq) FROM records

-- name: count_between
SELECT count(*) FROM records WHERE seq > ? AND seq <= ?

-- name: peek
-- A record whose shelf is lost comes out too, with nothing known of it: it must not vanish unseen.
SELECT r.seq, r.id, s.name, s.vin, s.source, r.received_ms, r.observed_ms, r.revision, r.replayed,
       r.fingerprint, r.shelf, r.data
FROM records r LEFT JOIN shelves s ON s.id = r.shelf
WHERE r.seq > :since AND r.seq <= :horizon
  AND (:kinds IS NULL OR s.id IS NULL OR s.name IN (SELECT value FROM json_each(:kinds)))
  AND (NOT :only_changes OR r.changed)
ORDER BY r.seq LIMIT :limit

-- name: first_received_since
-- The first seq received at or after a moment: by whole days, and by rows only on the moment's own day.
SELECT min(seq) FROM (
    SELECT (SELECT min(seq) FROM records WHERE shelf = s.id) AS seq
    FROM shelves s WHERE s.role = 'record' AND s.day > :day
    UNION ALL
    SELECT r.seq FROM shelves s JOIN records r ON r.shelf = s.id
    WHERE s.role = 'record' AND s.day = :day AND r.received_ms >= :ms
)

-- name: history_days
SELECT DISTINCT day FROM shelves WHERE role = 'record' AND name = 'snapshot' AND day BETWEEN ? AND ? ORDER BY day

-- name: history_of_day
-- The columns of `peek`, in the order of time: what was taken in late comes where it belongs.
SELECT r.seq, r.id, s.name, s.vin, s.source, r.received_ms, r.observed_ms, r.revision, r.replayed,
       r.fingerprint, r.shelf, r.data
FROM shelves s JOIN records r ON r.shelf = s.id
WHERE s.day = :day AND s.role = 'record' AND s.name = 'snapshot' AND r.received_ms BETWEEN :since AND :until
ORDER BY r.received_ms, r.seq

-- name: letter_put
INSERT INTO dead_letters (sink, subject, at_ms, state, reason, data) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (sink, subject) DO UPDATE SET
    at_ms = excluded.at_ms, state = excluded.state, reason = excluded.reason, data = excluded.data

-- name: letters_all
SELECT id, sink, subject, at_ms, reason, data FROM dead_letters
WHERE id > :after ORDER BY id LIMIT :limit

-- name: letters_of
SELECT id, sink, subject, at_ms, reason, data FROM dead_letters
WHERE sink = :sink AND id > :after ORDER BY id LIMIT :limit

-- name: letters_marked
SELECT id, sink, subject, at_ms, reason, data FROM dead_letters
WHERE sink = :sink AND state = 'retry' ORDER BY id LIMIT :limit

-- name: letter_mark
UPDATE dead_letters SET state = 'retry' WHERE id = ? AND sink <> '' AND state <> 'unreadable'

-- name: letter_keep
UPDATE dead_letters SET state = 'kept', reason = ?, at_ms = ? WHERE id = ?

-- name: letter_spoil
UPDATE dead_letters SET state = 'unreadable' WHERE id = ?

-- name: letter_drop
DELETE FROM dead_letters WHERE id = ?

-- name: letters_drop_sink
DELETE FROM dead_letters WHERE sink = ?

-- name: letters_count
SELECT sink, count(*) FROM dead_letters GROUP BY sink

-- name: total_records
SELECT records FROM totals

-- name: last_received
SELECT received_ms FROM records ORDER BY seq DESC LIMIT 1

-- name: edge_first
SELECT min(received_ms) FROM records WHERE shelf IN (
    SELECT id FROM shelves WHERE day = (SELECT min(day) FROM shelves WHERE role = 'record'
        AND EXISTS (SELECT 1 FROM records WHERE shelf = shelves.id)) AND role = 'record')

-- name: edge_last
SELECT max(received_ms) FROM records WHERE shelf IN (
    SELECT id FROM shelves WHERE day = (SELECT max(day) FROM shelves WHERE role = 'record'
        AND EXISTS (SELECT 1 FROM records WHERE shelf = shelves.id)) AND role = 'record')

-- name: day_first
SELECT min(day) FROM shelves

-- name: day_last_seq
SELECT max((SELECT max(seq) FROM records WHERE shelf = s.id)) FROM shelves s
WHERE s.day = ? AND s.role = 'record'

-- name: day_records
SELECT seq FROM records WHERE shelf IN (SELECT id FROM shelves WHERE day = ? AND role = 'record')
ORDER BY seq LIMIT ?

-- name: record_drop
DELETE FROM records WHERE seq = ?

-- name: day_answers
SELECT a.shelf, a.received_ms, a.bodies FROM shelves s JOIN answers a ON a.shelf = s.id
WHERE s.day = ? AND s.role = 'answer' LIMIT ?

-- name: answer_drop
DELETE FROM answers WHERE shelf = ? AND received_ms = ? AND bodies = ?

-- name: day_bodies
SELECT b.id FROM shelves s JOIN bodies b ON b.shelf = s.id WHERE s.day = ? AND s.role = 'body' LIMIT ?

-- name: body_drop
DELETE FROM bodies WHERE id = ?

-- name: shelves_drop
DELETE FROM shelves WHERE day = ?

-- name: vins
SELECT DISTINCT vin FROM shelves WHERE vin <> '' ORDER BY vin

-- name: answer_days
SELECT DISTINCT day FROM shelves WHERE role = 'answer' AND day >= ? ORDER BY day DESC

-- name: answers_of_day
SELECT s.source, s.name, s.vin, a.received_ms, a.bodies
FROM shelves s JOIN answers a ON a.shelf = s.id
WHERE s.day = ? AND s.role = 'answer' AND a.received_ms >= ? ORDER BY a.received_ms DESC
