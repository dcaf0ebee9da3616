-- name: record(at, actor, device, entity, entity_id, action, version, data)^
-- One row of the feed; gives its sequence number.
insert into changes (at, actor, device, entity, entity_id, action, version, data)
values (:at, :actor, :device, :entity, :entity_id, :action, :version, :data)
returning seq;

-- name: newest()^
-- How far the feed is, and when that was: for noticing what another process wrote. By the primary key.
select seq, at from changes order by seq desc limit 1;

-- name: since(seq, limit)
-- What was written after a point, in order. By the primary key.
select seq, entity, entity_id, action, version
from changes
where seq > :seq
order by seq
limit :limit;
