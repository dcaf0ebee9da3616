-- name: page(before, take)
-- Photos that still have no line, newest first, with what grouping needs. Index photos_untold.
select taken_rank, id, taken_at, taken_day, item, json_extract(item, '$.metadata.taken_at') as at
from photos
where shelf = 'library' and untold = 1 and taken_rank < :before
order by taken_rank desc
limit :take;

-- name: years()
-- How many photos each year has and how many of them are untold, newest first. Costs the days that have photos.
select cast(strftime('%Y', day * 86400, 'unixepoch') as integer) as year, sum(photos) as photos,
    sum(case when untold = 1 then photos else 0 end) as untold
from photo_days
where shelf = 'library'
group by year
having sum(photos) > 0
order by year desc;
