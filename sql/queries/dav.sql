-- What WebDAV asks: what is in a folder, what of it is in the trash, and the properties that clients attach.

-- name: photo_at(path)^
-- The photo of a file, if it is one, and whether it is in the trash. By the primary keys.
select p.id, p.mime_type, p.object_key, p.trashed_at
from files f
join photos p on p.id = f.photo_id
where f.path = :path;

-- name: kinds(folder)
-- The media types of the photos that lie directly in a folder. Index photos_folder.
select object_key, mime_type
from photos
where folder = :folder and shelf = 'library';

-- name: trashed(below, beyond)
-- Files in a folder, at any depth, whose photos are in the trash. Index photos_taken: costs the trash.
select f.path
from photos p
join files f on f.photo_id = p.id
where p.shelf = 'trash' and f.path >= :below and f.path < :beyond;

-- name: alive(below, beyond)^
-- Any file in a folder, at any depth, that is not of a photo in the trash. Range of the primary key of files.
select f.path
from files f
left join photos p on p.id = f.photo_id
where f.path >= :below and f.path < :beyond and p.trashed_at is null
limit 1;

-- name: files_below(below, beyond, take)
-- Some files in a folder, at any depth. Range of the primary key of files.
select path, photo_id, size, mtime_ns, inode, problem, detail
from files
where path >= :below and path < :beyond
order by path
limit :take;

-- name: properties(path)
-- What clients have attached to one thing. By the primary key.
select path, namespace, name, value
from dav_properties
where path = :path;

-- name: marked(path, below, beyond, namespace, name)$
-- A folder that has a property, or one in it, at any depth. By the primary key, and a range of it.
select path
from dav_properties
where (path = :path or (path >= :below and path < :beyond)) and namespace = :namespace and name = :name
limit 1;

-- name: room_for_properties(path)^
-- How much is attached to one thing. By the primary key.
select count(*) as properties, coalesce(sum(length(value)), 0) as characters
from dav_properties
where path = :path;

-- name: set_property(path, namespace, name, value)!
-- Attach a property.
insert into dav_properties (path, namespace, name, value)
values (:path, :namespace, :name, :value)
on conflict (path, namespace, name) do update
set value = excluded.value;

-- name: drop_property(path, namespace, name)!
-- Take a property away.
delete from dav_properties
where path = :path and namespace = :namespace and name = :name;

-- name: drop_properties(path, below, beyond)!
-- What was at a path is there no more, and all below it.
delete from dav_properties
where path = :path or (path >= :below and path < :beyond);

-- name: move_properties(path, below, beyond, target)!
-- What was at a path is at another one now, and all below it.
update dav_properties
set path = :target || substr(path, length(:path) + 1)
where path = :path or (path >= :below and path < :beyond);

-- name: copy_properties(path, target)!
-- A copy has the same properties.
insert into dav_properties (path, namespace, name, value)
select :target, namespace, name, value
from dav_properties
where path = :path;

-- name: made_of(path, since)^
-- The photo that has been made of a file just now, if it has no other. By the primary keys.
select p.id, p.version
from files f
join photos p on p.id = f.photo_id
where f.path = :path and p.imported_at >= :since
    and not exists (select 1 from files o where o.photo_id = p.id and o.path <> f.path);

-- name: properties_of_children(below, beyond)
-- What clients have attached to things directly in a folder. Range of the primary key.
select path, namespace, name, value
from dav_properties
where path >= :below and path < :beyond and instr(substr(path, length(:below) + 1), '/') = 0;

-- name: property(path, namespace, name)$
-- One property of one thing. By the primary key.
select path
from dav_properties
where path = :path and namespace = :namespace and name = :name;
