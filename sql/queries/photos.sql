-- name: item(id)^
-- A photo as clients get it. By the primary key.
select item, version
from photos
where id = :id;

-- name: editable(id)^
-- What an edit may change, as it is now. By the primary key.
select id, taken_rank, object_key, description, keywords, favourite, needs_line, taken_at, taken_offset, taken_at_source,
    lat, lon, place, version, last_modified, trashed_at, item
from photos
where id = :id;

-- name: free_rank(low, high)$
-- The next free rank among photos taken in the same millisecond. By the unique index on the rank.
select coalesce(max(taken_rank), :low - 1) + 1
from photos
where taken_rank >= :low and taken_rank < :high;

-- name: edit(id, version, description, keywords, favourite, needs_line, taken_rank, taken_at, taken_offset, taken_at_source, lat, lon, words, last_modified)^
-- The one statement that changes what people write; the version that the edit is based on is part of it.
update photos
set description = :description, keywords = :keywords, favourite = :favourite, needs_line = :needs_line,
    taken_rank = :taken_rank, taken_at = :taken_at, taken_offset = :taken_offset, taken_at_source = :taken_at_source,
    lat = :lat, lon = :lon, words = :words, version = version + 1, last_modified = :last_modified
where id = :id and version = :version
returning item, version;

-- name: add_line(photo_id, version, line, author_id, device, origin, at)!
-- A line into a photo's history.
insert into lines (photo_id, version, line, author_id, device, origin, at)
values (:photo_id, :version, :line, :author_id, :device, :origin, :at);

-- name: history(photo_id)
-- Every line that a photo had, newest first. By the primary key of lines.
select l.version, l.line, l.author_id, coalesce(u.name, '') as author_name, l.device, l.origin, l.at
from lines l
left join users u on u.id = l.author_id
where l.photo_id = :photo_id
order by l.version desc;

-- name: line(photo_id, version)^
-- One line of a history. By the primary key of lines.
select line
from lines
where photo_id = :photo_id and version = :version;

-- name: set_trashed(id, version, trashed_at, last_modified)^
-- Into the trash, or (null) out of it.
update photos
set trashed_at = :trashed_at, version = version + 1, last_modified = :last_modified
where id = :id and version = :version
returning item, version;

-- name: file(id)^
-- Where a photo's bytes are and what they were when last looked at. By the primary key, and that of files.
select p.id, p.object_key, p.mime_type, p.kind, p.size, case p.unread when 0 then p.content_hash end as content_hash, p.fingerprint, p.unread, p.problem, p.missing_at,
    f.mtime_ns, f.inode, f.size as file_size
from photos p
left join files f on f.path = p.object_key
where p.id = :id;

-- name: paths(photo_id)
-- Every file with a photo's content. Index files_photo.
select path, size, mtime_ns, inode
from files
where photo_id = :photo_id
order by path;

-- name: known(id)^
-- What is needed to delete a photo for good. By the primary key.
select id, object_key, sha256, content_hash, fingerprint, size, version, last_modified, description, item
from photos
where id = :id;

-- name: with_content(content_hash, fingerprint, size)$
-- How many photos have this content, which then have the same fingerprint and size. Index photos_fingerprint.
select count(*)
from photos
where fingerprint = :fingerprint and size = :size and content_hash = :content_hash;

-- name: bury(sha256, photo_id, deleted_by, deleted_at)!
-- Remember what was deleted for good.
insert into tombstones (sha256, photo_id, deleted_by, deleted_at)
values (:sha256, :photo_id, :deleted_by, :deleted_at)
on conflict (sha256) do update
set photo_id = excluded.photo_id, deleted_by = excluded.deleted_by, deleted_at = excluded.deleted_at;

-- name: delete(id)!
-- Delete a photo's row, and with it its files' and lines'.
delete from photos
where id = :id;

-- name: keywords(first, last, after, skip, take)
-- Keywords of the library with their counts. Costs the uses of those shown; each is a step in two indexes.
select k.keyword, count(*) as photos
from photo_keywords k
cross join photos p
where p.taken_rank = k.taken_rank and p.shelf = 'library' and k.keyword between :first and :last and k.keyword > :after
group by k.keyword
order by k.keyword
limit :take offset :skip;

-- name: keywords_total(first, last)$
-- How many keywords those are; asked once for each state of the library, not for each page.
select count(distinct k.keyword)
from photo_keywords k
cross join photos p
where p.taken_rank = k.taken_rank and p.shelf = 'library' and k.keyword between :first and :last;
