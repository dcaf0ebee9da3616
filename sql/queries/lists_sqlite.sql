-- Pages of the library as lists. Every query gives one row more than a page has, so that the caller knows
-- whether there is another; `item` is the photo as JSON, built when it was written. A page is one row of
-- bytes, as the inside of JSON arrays, items with a line feed between them since JSON has none inside: fetching 51
-- rows one by one, and joining them, costs Python four times as much. Each order has its index, and
-- a cursor starts right behind the last row that was seen (keyset): a page costs the same however deep it lies.
--
-- First the usual views, straight from an index; then every combination of filters in every order, where a filter
-- that is null lets everything through. What is rare among many photos (bbox, kind) is found by looking at them.

-- name: newest(shelf, rank, skip, take)
-- A shelf by capture time, newest first: the grid. Index photos_taken.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and taken_rank < :rank
    order by taken_rank desc
    limit :take offset :skip
);

-- name: oldest(shelf, rank, skip, take)
-- The same, oldest first; also the short way to a far offset. Index photos_taken.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and taken_rank > :rank
    order by taken_rank
    limit :take offset :skip
);

-- name: untold(shelf, rank, skip, take)
-- Those that still have no line, newest first. Index photos_untold.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and untold = 1 and taken_rank < :rank
    order by taken_rank desc
    limit :take offset :skip
);

-- name: favourites(shelf, rank, skip, take)
-- The favourites, newest first. Index photos_favourite.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and favourite = 1 and taken_rank < :rank
    order by taken_rank desc
    limit :take offset :skip
);

-- name: videos(shelf, rank, skip, take)
-- The videos, newest first. Index photos_videos.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and kind = 'video' and taken_rank < :rank
    order by taken_rank desc
    limit :take offset :skip
);

-- name: in_folder(shelf, folder, rank, skip, take)
-- One folder, newest first. Index photos_folder.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where folder = :folder and shelf = :shelf and taken_rank < :rank
    order by taken_rank desc
    limit :take offset :skip
);

-- name: found(shelf, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- What a search finds, newest first. The search index gives row ids, which are ranks, in order: nothing is sorted,
-- and a common word costs no more than a rare one.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from search
    cross join photos on photos.taken_rank = search.rowid
    where search match :words and search.rowid < :rank and shelf = :shelf
        and search.rowid >= :from_rank and search.rowid < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by search.rowid desc
    limit :take offset :skip
);

-- name: with_keyword(shelf, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- What has a keyword, newest first. The keyword index is in that order.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select photos.taken_rank as sort_key, photos.taken_rank, id, item
    from photo_keywords
    join photos on photos.taken_rank = photo_keywords.taken_rank
    where photo_keywords.keyword = :keyword and photo_keywords.taken_rank < :rank and shelf = :shelf
        and photos.taken_rank >= :from_rank and photos.taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:words is null or photos.taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by photo_keywords.taken_rank desc
    limit :take offset :skip
);

-- name: by_taken_desc(shelf, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By capture time, newest first. Index photos_taken.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and taken_rank < :rank
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by taken_rank desc
    limit :take offset :skip
);

-- name: by_taken_asc(shelf, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By capture time, oldest first. Index photos_taken.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select taken_rank as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and taken_rank > :rank
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by taken_rank
    limit :take offset :skip
);

-- name: by_imported_desc(shelf, sort_key, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By arrival in the library, newest first. Index photos_imported.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select imported_at as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and (imported_at, taken_rank) < (:sort_key, :rank)
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by imported_at desc, taken_rank desc
    limit :take offset :skip
);

-- name: by_imported_asc(shelf, sort_key, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By arrival in the library, oldest first. Index photos_imported.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select imported_at as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and (imported_at, taken_rank) > (:sort_key, :rank)
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by imported_at, taken_rank
    limit :take offset :skip
);

-- name: by_modified_desc(shelf, sort_key, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By the last edit, newest first. Index photos_modified.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select last_modified as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and (last_modified, taken_rank) < (:sort_key, :rank)
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by last_modified desc, taken_rank desc
    limit :take offset :skip
);

-- name: by_modified_asc(shelf, sort_key, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By the last edit, oldest first. Index photos_modified.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select last_modified as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and (last_modified, taken_rank) > (:sort_key, :rank)
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by last_modified, taken_rank
    limit :take offset :skip
);

-- name: by_name_desc(shelf, sort_key, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By path, backwards. Index photos_name.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select object_key as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and (object_key, taken_rank) < (:sort_key, :rank)
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by object_key desc, taken_rank desc
    limit :take offset :skip
);

-- name: by_name_asc(shelf, sort_key, rank, skip, take, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- By path, from a to z. Index photos_name.
select cast(group_concat(item, ',' || char(10)) as blob) as items,
    cast(group_concat('"' || id || '"') as blob) as ids,
    cast(group_concat(json_array(sort_key, taken_rank), char(10)) as blob) as keys
from (
    select object_key as sort_key, taken_rank, id, item
    from photos
    where shelf = :shelf and (object_key, taken_rank) > (:sort_key, :rank)
        and taken_rank >= :from_rank and taken_rank < :to_rank
        and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
        and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
        and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
        and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
        and (:words is null or taken_rank in (select search.rowid from search where search match :words))
        and (:south is null or lat between :south and :north
            and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
    order by object_key, taken_rank
    limit :take offset :skip
);

-- name: count(shelf, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)$
-- How many photos pass the filters; asked once for each state of the library, not for each page.
select count(*)
from photos
where shelf = :shelf
    and taken_rank >= :from_rank and taken_rank < :to_rank
    and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
    and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
    and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
    and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
    and (:words is null or taken_rank in (select search.rowid from search where search match :words))
    and (:south is null or lat between :south and :north
        and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)));

-- name: count_found(shelf, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)$
-- The same total where there are words, a keyword or a folder: costs what these find, not the shelf.
with candidates (taken_rank) as (
    select search.rowid from search where search match coalesce(:words, '""')
    union all
    select k.taken_rank from photo_keywords k where :words is null and k.keyword = :keyword
    union all
    select f.taken_rank from photos f
    where :words is null and :keyword is null and f.folder = :folder and f.shelf = :shelf
)
select count(*)
from candidates
cross join photos on photos.taken_rank = candidates.taken_rank
where shelf = :shelf
    and photos.taken_rank >= :from_rank and photos.taken_rank < :to_rank
    and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
    and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
    and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
    and (:keyword is null or photos.taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
    and (:south is null or lat between :south and :north
        and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)));

-- name: count_matches(words)$
-- The total of a search alone: the index counts its matches, of which those that are not in the library are few.
select (select count(*) from search where search match :words) - (
    select count(*)
    from photos
    cross join search on search.rowid = photos.taken_rank
    where photos.shelf in ('trash', 'missing') and search match :words
);

-- name: count_elsewhere()$
-- How many photos are missing or in the trash. From the day counts.
select coalesce(sum(photos), 0)
from photo_days
where shelf in ('trash', 'missing');

-- name: days(shelf, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- How many photos pass the filters on each day, newest first.
select taken_day as day, count(*) as photos
from photos
where shelf = :shelf
    and taken_rank >= :from_rank and taken_rank < :to_rank
    and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
    and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
    and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
    and (:keyword is null or taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
    and (:words is null or taken_rank in (select search.rowid from search where search match :words))
    and (:south is null or lat between :south and :north
        and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
group by taken_day
order by taken_day desc;

-- name: days_found(shelf, from_rank, to_rank, first_day, last_day, favourite, untold, kind, folder, keyword, words, south, north, west, east)
-- The same days where there are words, a keyword or a folder.
with candidates (taken_rank) as (
    select search.rowid from search where search match coalesce(:words, '""')
    union all
    select k.taken_rank from photo_keywords k where :words is null and k.keyword = :keyword
    union all
    select f.taken_rank from photos f
    where :words is null and :keyword is null and f.folder = :folder and f.shelf = :shelf
)
select taken_day as day, count(*) as photos
from candidates
cross join photos on photos.taken_rank = candidates.taken_rank
where shelf = :shelf
    and photos.taken_rank >= :from_rank and photos.taken_rank < :to_rank
    and (:first_day is null or taken_day >= :first_day) and (:last_day is null or taken_day <= :last_day)
    and (:favourite is null or favourite = :favourite) and (:untold is null or untold = :untold)
    and (:kind is null or kind = :kind) and (:folder is null or folder = :folder)
    and (:keyword is null or photos.taken_rank in (select k.taken_rank from photo_keywords k where k.keyword = :keyword))
    and (:south is null or lat between :south and :north
        and (lon between :west and :east or :west > :east and (lon >= :west or lon <= :east)))
group by taken_day
order by taken_day desc;

-- name: count_days(shelf, first_day, last_day, kind, favourite, untold)$
-- The same total from the day counts, where these filters are all: costs the days that have photos, not the photos.
select coalesce(sum(photos), 0)
from photo_days
where shelf = :shelf
    and (:first_day is null or day >= :first_day) and (:last_day is null or day <= :last_day)
    and (:kind is null or kind = :kind) and (:favourite is null or favourite = :favourite)
    and (:untold is null or untold = :untold);

-- name: days_counted(shelf, first_day, last_day, kind, favourite, untold)
-- The same days from the day counts.
select day, sum(photos) as photos
from photo_days
where shelf = :shelf
    and (:first_day is null or day >= :first_day) and (:last_day is null or day <= :last_day)
    and (:kind is null or kind = :kind) and (:favourite is null or favourite = :favourite)
    and (:untold is null or untold = :untold)
group by day
having sum(photos) > 0
order by day desc;
