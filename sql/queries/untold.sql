-- name: page(before, take)
-- Photos that still have no line, newest first, with what grouping needs. Index photos_untold.
select taken_rank, id, taken_at, taken_day, item
from photos
where shelf = 'library' and untold = 1 and taken_rank < :before
order by taken_rank desc
limit :take;

-- name: days()
-- How many photos each day has and how many of them are untold: for the progress by year. Costs the days.
select day, sum(photos) as photos, sum(case when untold = 1 then photos else 0 end) as untold
from photo_days
where shelf = 'library'
group by day
having sum(photos) > 0;
