-- What phones follow, and edits made offline. The pages of the feed stand in sync_sqlite.sql.

-- name: at(seq)$
-- When a change was written; null: the feed has no such row. By the primary key.
select at
from changes
where seq = :seq;

-- name: first()$
-- Where the feed begins: later than at 1 once its oldest rows were purged. By the primary key.
select min(seq)
from changes;

-- name: answer(user_id, edit_id)$
-- What an edit was answered when it came first. By the primary key.
select answer
from edits
where user_id = :user_id and edit_id = :edit_id;

-- name: add_edit(user_id, edit_id, session_id, photo_id, version, answer, at)!
-- An edit with its answer, in the transaction that applied it.
insert into edits (user_id, edit_id, session_id, photo_id, version, answer, at)
values (:user_id, :edit_id, :session_id, :photo_id, :version, :answer, :at);

-- name: forget_edits(before)!
-- Edits that nobody will send again. Index edits_at.
delete from edits
where at < :before;

-- name: after_version(photo_id, version, session_id)
-- What became of a photo after a version, and whether it was done by edits of this session. Index changes_entity, and
-- edits_photo.
select c.version, c.data, e.edit_id is not null as own
from changes c
left join edits e on e.photo_id = c.entity_id and e.version = c.version and e.session_id = :session_id
where c.entity = 'photo' and c.entity_id = :photo_id and c.version > :version
order by c.seq;
