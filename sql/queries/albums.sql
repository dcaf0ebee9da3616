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

-- name: folders(after, take)
-- Folders that have photos in the library, by path. Index photos_folder; costs the photos of the folders shown.
select a.id, a.folder, a.title, count(*) as photos, min(p.taken_at) as first_at, max(p.taken_at) as last_at,
    max(p.taken_rank) as newest
from albums a
join photos p on p.folder = a.folder and p.shelf = 'library'
where :after is null or a.folder > :after
group by a.folder
order by a.folder
limit :take;

-- name: total()$
-- How many folders have photos. Index photos_folder, one step for each folder.
select count(*)
from albums a
where exists (select 1 from photos p where p.folder = a.folder and p.shelf = 'library');

-- name: album(id)^
-- One folder as an album.
select a.id, a.folder, a.title, count(*) as photos, min(p.taken_at) as first_at, max(p.taken_at) as last_at,
    max(p.taken_rank) as newest
from albums a
join photos p on p.folder = a.folder and p.shelf = 'library'
where a.id = :id
group by a.folder;
