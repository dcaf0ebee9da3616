-- What is being sent, and whether it is here already.

-- name: here(sha256)^
-- A photo that is here (the trash included) and has, or had when it came, this content; a row of nulls for what was
-- deleted for good. Indexes photos_sha256, photos_content, and the primary key.
select id, version, item, trashed_at, object_key
from photos
where sha256 = :sha256 and missing_at is null
union all
select id, version, item, trashed_at, object_key
from photos
where content_hash = :sha256 and content_hash <> sha256 and missing_at is null
union all
select null, null, null, null, null
from tombstones
where sha256 = :sha256
limit 1;

-- name: photo(id)^
-- A photo that is here (the trash included). By the primary key.
select id, version, item, trashed_at
from photos
where id = :id;

-- name: buried(sha256)$
-- Whether this content was deleted for good. By the primary key.
select photo_id
from tombstones
where sha256 = :sha256;

-- name: known(sums)
-- Of many sums (a JSON array) those that are here. Indexes photos_sha256, photos_content.
select s.value as sha256, p.id
from json_each(:sums) s
join photos p on p.sha256 = s.value
where p.missing_at is null
union all
select s.value, p.id
from json_each(:sums) s
join photos p on p.content_hash = s.value and p.content_hash <> p.sha256
where p.missing_at is null;

-- name: deleted(sums)
-- Of many sums (a JSON array) those that were deleted for good. By the primary key.
select t.sha256
from json_each(:sums) s
join tombstones t on t.sha256 = s.value;

-- name: unhashed(size, take)
-- Photos that could be one whose sum is asked for, since the background has not come to them: of one size, or (null)
-- of any. Index photos_unhashed.
select id, object_key, size
from photos
where sha256 is null and unread = 1 and missing_at is null and (:size is null or size = :size)
limit :take;

-- name: add(id, user_id, size, metadata, at)!
-- An upload begins.
insert into uploads (id, user_id, size, metadata, active_at)
values (:id, :user_id, :size, :metadata, :at);

-- name: upload(id)^
-- One upload. By the primary key.
select id, user_id, size, metadata, unchecked_from, photo_id, duplicate, active_at
from uploads
where id = :id;

-- name: touch(id, at)!
-- Somebody goes on with it.
update uploads
set active_at = :at
where id = :id;

-- name: check_from(id, unchecked_from)!
-- From there on nothing counts until its checksum is known to be right; null: all of it counts.
update uploads
set unchecked_from = :unchecked_from
where id = :id;

-- name: became(id, photo_id, duplicate, at)!
-- What it has become, for a client that did not get the answer.
update uploads
set photo_id = :photo_id, duplicate = :duplicate, active_at = :at
where id = :id;

-- name: drop(id)!
-- It is over.
delete from uploads
where id = :id;

-- name: abandoned(before, take)
-- Uploads that nobody went on with. Index uploads_active.
select id
from uploads
where active_at < :before
order by active_at
limit :take;

-- name: open()
-- All that have not become photos, for the start. A row each, and there are few.
select id
from uploads
where photo_id is null;
