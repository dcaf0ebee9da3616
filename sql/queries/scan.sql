-- Comparing the library on disk with the library known. `seen` is a temporary table of the scan's own connection:
-- what a walk found. It lies in a file, so that memory stays the same however many photos there are.

-- name: make_seen()#
-- Empty at the beginning of a scan.
create temporary table seen (
    path text primary key,
    size integer not null,
    mtime_ns integer not null,
    inode integer not null
) strict, without rowid;

-- name: see(path, size, mtime_ns, inode)!
-- One file that the walk found.
insert or replace into seen (path, size, mtime_ns, inode)
values (:path, :size, :mtime_ns, :inode);

-- name: seen()$
-- How many files the walk found.
select count(*)
from seen;

-- name: known()$
-- How many files of photos the library has.
select count(*)
from files
where photo_id is not null;

-- name: unchanged()$
-- How many files are as they were: photos and others.
select count(*)
from seen s
join files f on f.path = s.path
where f.size = s.size and f.mtime_ns = s.mtime_ns and f.inode = s.inode and f.photo_id is not null;

-- name: still_skipped()$
-- How many files are still no photos.
select count(*)
from seen s
join files f on f.path = s.path
where f.size = s.size and f.mtime_ns = s.mtime_ns and f.inode = s.inode and f.photo_id is null and f.problem = 'skipped';

-- name: still_broken(take)
-- Files that could not be read and have not changed since.
select f.path, f.problem, f.detail
from seen s
join files f on f.path = s.path
where f.size = s.size and f.mtime_ns = s.mtime_ns and f.inode = s.inode and f.photo_id is null and f.problem <> 'skipped'
order by f.path
limit :take;

-- name: to_read()$
-- How many files are new or have changed.
select count(*)
from seen s
left join files f on f.path = s.path
where f.path is null or f.size <> s.size or f.mtime_ns <> s.mtime_ns or f.inode <> s.inode;

-- name: next_to_read(after, take)
-- New and changed files in the order of their paths.
select s.path, s.size, s.mtime_ns, s.inode, f.path is not null as known
from seen s
left join files f on f.path = s.path
where s.path > :after and (f.path is null or f.size <> s.size or f.mtime_ns <> s.mtime_ns or f.inode <> s.inode)
order by s.path
limit :take;

-- name: renamed(after, take)
-- New paths whose inode, size and time are those of a file that is gone: renamed, and known without reading.
select s.path, s.size, s.mtime_ns, s.inode, f.path as old_path, f.photo_id
from seen s
join files f on f.inode = s.inode and f.size = s.size and f.mtime_ns = s.mtime_ns
where s.path > :after and s.inode <> 0 and f.photo_id is not null
    and not exists (select 1 from seen o where o.path = f.path)
    and not exists (select 1 from files k where k.path = s.path)
order by s.path
limit :take;

-- name: lost_since(at)$
-- How many photos are missing since a moment. Costs a look at each missing photo.
select count(*)
from photos
where shelf = 'missing' and missing_at >= :at;

-- name: newest_change()$
-- How far the change feed is. By the primary key.
select coalesce(max(seq), 0)
from changes;

-- name: put_since(seq, after, take)
-- Paths of photos that people changed since then, and that the walk did not see. As many steps as there were changes.
select distinct f.path
from changes c
join files f on f.photo_id = c.entity_id
where c.seq > :seq and c.entity = 'photo' and c.actor is not null and f.path > :after
    and not exists (select 1 from seen s where s.path = f.path)
order by f.path
limit :take;

-- name: gone_in(below, beyond)$
-- How many files of photos are gone below a folder ('' to the end: everywhere).
select count(*)
from files f
where f.path >= :below and f.path < :beyond and f.photo_id is not null
    and not exists (select 1 from seen s where s.path = f.path);

-- name: next_gone(below, beyond, after, take)
-- Paths that are gone, in order.
select f.path, f.photo_id
from files f
where f.path >= :below and f.path < :beyond and f.path > :after
    and not exists (select 1 from seen s where s.path = f.path)
order by f.path
limit :take;
