-- Pages of the change feed. Each is one row of bytes, the inside of a JSON array with a line feed between its changes,
-- as in lists_sqlite.sql: what SQLite joins costs Python nothing.
--
-- A further entity is told once it is named in `changes` (where its state is chosen, and among the entities), has a
-- query for its whole state as `photos` is one, and stands in STATES (tagline/sync/feed.py).

-- name: changes(seq, since, take, reach)^
-- What was written after a point, each thing once, at its newest change, with what it is now. `reach` is how many rows of
-- the feed to look at: most belong to things that were written again later, or that nobody follows. `last` is the
-- last row that this page knows of, and `at` its time. By the primary key; each thing's newest change by the index
-- changes_entity alone. Without the plus, SQLite would read every change of a photo that there ever was.
with page (seq, change) as (
    select c.seq, '{"seq":' || c.seq || ',"entity":"' || c.entity || '","entity_id":"' || c.entity_id || '","action":"'
        || case
            when c.action = 'delete' then 'delete'
            when (
                select f.action
                from changes f
                where f.entity = c.entity and f.entity_id = c.entity_id and f.seq > :since
                order by f.seq
                limit 1
            ) = 'create' then 'create'
            else 'update'
        end
        || '","version":' || c.version || ',"at":"' || strftime('%Y-%m-%dT%H:%M:%S', c.at / 1000000, 'unixepoch')
        || printf('.%06dZ', c.at % 1000000) || '","by":'
        || case when u.id is null then 'null' else json_object('id', u.id, 'name', u.name) end
        || ',"device":' || json_quote(c.device) || ',"data":'
        || coalesce(case c.entity when 'photo' then (select p.item from photos p where p.id = c.entity_id) end, 'null')
        || '}'
    from changes c
    left join users u on u.id = c.actor
    where c.seq > :seq
        and c.seq <= (select max(seq) from (select seq from changes where seq > :seq order by seq limit :reach))
        and +c.entity in ('photo')
        and not exists (
            select 1
            from changes n
            where n.entity = c.entity and n.entity_id = c.entity_id and n.seq > c.seq
        )
    order by c.seq
    limit :take
), joined (changes, last) as (
    select cast(group_concat(change, ',' || char(10)) as blob), case
        when count(*) < :take then (select max(seq) from (select seq from changes where seq > :seq order by seq limit :reach))
        else max(seq)
    end
    from page
)
select j.changes, j.last, c.at, (select max(seq) from changes) as newest
from joined j
left join changes c on c.seq = j.last;

-- name: photos(key, take)^
-- All photos, newest first, wherever they are (trash, missing), as the changes that made them what they are. The unique
-- index on the rank, and changes_entity for each.
with page (rank, change) as (
    select p.taken_rank, '{"seq":' || coalesce(c.seq, 0) || ',"entity":"photo","entity_id":"' || p.id
        || '","action":"create","version":' || p.version || ',"at":"'
        || strftime('%Y-%m-%dT%H:%M:%S', coalesce(c.at, p.last_modified) / 1000000, 'unixepoch')
        || printf('.%06dZ', coalesce(c.at, p.last_modified) % 1000000) || '","by":'
        || case when u.id is null then 'null' else json_object('id', u.id, 'name', u.name) end
        || ',"device":' || json_quote(coalesce(c.device, '')) || ',"data":' || p.item || '}'
    from photos p
    left join changes c on c.seq = (select max(n.seq) from changes n where n.entity = 'photo' and n.entity_id = p.id)
    left join users u on u.id = c.actor
    where p.taken_rank < :key
    order by p.taken_rank desc
    limit :take
)
select cast(group_concat(change, ',' || char(10)) as blob) as changes, count(*) as told, min(rank) as last
from page;
