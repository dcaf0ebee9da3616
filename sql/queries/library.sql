-- What scans write: photos, their files, and what becomes of both.

-- name: insert(id, taken_rank, object_key, description, keywords, kind, mime_type, size, width, height, duration, taken_at, taken_offset, taken_at_source, camera, lens, exposure, f_number, iso, lat, lon, place, words, fingerprint, sha256, at)!
-- A new photo, from its headers.
insert into photos (id, taken_rank, object_key, description, keywords, kind, mime_type, size, width, height, duration,
    taken_at, taken_offset, taken_at_source, camera, lens, exposure, f_number, iso, lat, lon, place, words, fingerprint,
    sha256, last_modified, imported_at)
values (:id, :taken_rank, :object_key, :description, :keywords, :kind, :mime_type, :size, :width, :height, :duration,
    :taken_at, :taken_offset, :taken_at_source, :camera, :lens, :exposure, :f_number, :iso, :lat, :lon, :place, :words,
    :fingerprint, :sha256, :at, :at);

-- name: put_file(path, photo_id, size, mtime_ns, inode, problem, detail)!
-- What is at a path now.
insert into files (path, photo_id, size, mtime_ns, inode, problem, detail)
values (:path, :photo_id, :size, :mtime_ns, :inode, :problem, :detail)
on conflict (path) do update
set photo_id = excluded.photo_id, size = excluded.size, mtime_ns = excluded.mtime_ns, inode = excluded.inode,
    problem = excluded.problem, detail = excluded.detail;

-- name: file(path)^
-- What was known of a path. By the primary key.
select path, photo_id, size, mtime_ns, inode, problem, detail
from files
where path = :path;

-- name: drop_file(path)!
-- Nothing is at a path any more.
delete from files
where path = :path;

-- name: other_file(photo_id, path)^
-- Another file with the same content. Index files_photo.
select path, size
from files
where photo_id = :photo_id and path <> :path
order by path
limit 1;

-- name: same_content(fingerprint, size)
-- Photos, here or missing, that could be the same as a new file, and their files as last seen (null: none).
-- Index photos_fingerprint.
select p.id, p.object_key, case p.unread when 0 then p.content_hash end as content_hash, p.missing_at,
    f.size as file_size, f.mtime_ns as file_mtime_ns, f.inode as file_inode
from photos p
left join files f on f.path = p.object_key and f.photo_id = p.id
where p.fingerprint = :fingerprint and p.size = :size
order by p.missing_at is null, p.imported_at;

-- name: photo(id)^
-- What a scan has to know of a photo. By the primary key.
select id, object_key, description, keywords, place, taken_rank, taken_at, taken_offset, taken_at_source, lat, lon,
    fingerprint, size, content_hash, sha256, placeholder, problem, unread, version, last_modified, missing_at
from photos
where id = :id;

-- name: move(id, object_key, words)!
-- A photo is at another path now, and not missing any more.
update photos
set object_key = :object_key, words = :words, missing_at = null
where id = :id;

-- name: lose(id, at)!
-- A photo's last file is gone.
update photos
set missing_at = :at
where id = :id;

-- name: reread(id)!
-- The file was touched, but its ends are as they were: the background will tell whether it is the same.
update photos
set unread = 1
where id = :id;

-- name: replace(id, kind, mime_type, size, width, height, duration, taken_rank, taken_at, taken_offset, taken_at_source, camera, lens, exposure, f_number, iso, lat, lon, place, words, fingerprint, last_modified)^
-- The file was changed (edited, turned): the photo is what it was, in a new version.
update photos
set kind = :kind, mime_type = :mime_type, size = :size, width = :width, height = :height, duration = :duration,
    taken_rank = :taken_rank, taken_at = :taken_at, taken_offset = :taken_offset, taken_at_source = :taken_at_source,
    camera = :camera, lens = :lens, exposure = :exposure, f_number = :f_number, iso = :iso, lat = :lat, lon = :lon,
    place = :place, words = :words, fingerprint = :fingerprint, content_hash = null, placeholder = null,
    problem = null, unread = 1, missing_at = null, version = version + 1, last_modified = :last_modified
where id = :id
returning version;

-- name: forget_copies(photo_id, path)!
-- The content has changed at one path: what lies at the others is not this photo's any more. Index files_photo.
delete from files
where photo_id = :photo_id and path <> :path;

-- name: retry(problem)!
-- What could not be shown for want of a tool is read again, now that it is there.
update photos
set unread = 1
where problem = :problem;

-- name: unburied(sha256)!
-- Content that came back into the library's folder is wanted again.
delete from tombstones
where sha256 = :sha256;

-- name: unread(before, take)
-- Photos whose files the background has still to read, newest first. Index photos_unread.
select p.id, p.taken_rank, p.object_key, p.kind, f.size, f.mtime_ns, f.inode
from photos p
left join files f on f.path = p.object_key
where p.unread = 1 and p.missing_at is null and p.taken_rank < :before
order by p.taken_rank desc
limit :take;

-- name: unread_total()$
-- How many there are. Index photos_unread.
select count(*)
from photos
where unread = 1 and missing_at is null;

-- name: digested(id, sha256, content_hash, placeholder, problem)^
-- What one read of the file told. The identity is that of the content as first seen.
update photos
set sha256 = coalesce(sha256, :sha256), content_hash = coalesce(:content_hash, content_hash),
    placeholder = :placeholder, problem = :problem, unread = 0
where id = :id
returning version;

-- name: changed_in_the_middle(id, last_modified)!
-- The hash says what the headers could not: the content is another one, and so is the version.
update photos
set version = version + 1, last_modified = :last_modified
where id = :id;

-- name: setting(name)$
-- A fact about this installation.
select value
from settings
where name = :name;

-- name: set(name, value)!
-- Keep a fact about this installation.
insert into settings (name, value)
values (:name, :value)
on conflict (name) do update
set value = excluded.value;
