-- name: folder(id)^
-- Which folder an album is; null for one that is none. By the primary key.
select folder
from albums
where id = :id;

-- name: add_folder(id, folder, title, at)!
-- A folder with photos is an album; known already in most cases.
insert into albums (id, folder, title, created_at)
values (:id, :folder, :title, :at)
on conflict do nothing;

-- name: folders(after, skip, take)
-- Folders that have photos in the library, by path. All from index photos_folder, but for two rows a folder.
select a.id, a.folder, a.title,
    (select count(*) from photos p where p.folder = a.folder and p.shelf = 'library') as photos,
    (select p.taken_at from photos p where p.folder = a.folder and p.shelf = 'library'
        order by p.taken_rank limit 1) as first_at,
    (select p.taken_at from photos p where p.folder = a.folder and p.shelf = 'library'
        order by p.taken_rank desc limit 1) as last_at
from albums a
where (:after is null or a.folder > :after)
    and exists (select 1 from photos p where p.folder = a.folder and p.shelf = 'library')
order by a.folder
limit :take offset :skip;

-- name: total()$
-- How many folders have photos. Index photos_folder, one step for each folder.
select count(*)
from albums a
where exists (select 1 from photos p where p.folder = a.folder and p.shelf = 'library');

-- name: album(id)^
-- One folder as an album. Index photos_folder.
select a.id, a.folder, a.title,
    (select count(*) from photos p where p.folder = a.folder and p.shelf = 'library') as photos,
    (select p.taken_at from photos p where p.folder = a.folder and p.shelf = 'library'
        order by p.taken_rank limit 1) as first_at,
    (select p.taken_at from photos p where p.folder = a.folder and p.shelf = 'library'
        order by p.taken_rank desc limit 1) as last_at
from albums a
where a.id = :id and exists (select 1 from photos p where p.folder = a.folder and p.shelf = 'library');
