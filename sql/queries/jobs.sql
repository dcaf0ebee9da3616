-- name: add(id, kind, payload, run_after, created_by, at)^
-- A new job; of the single kinds, none if one is queued or runs already.
insert into jobs (id, kind, payload, run_after, created_by, created_at)
values (:id, :kind, :payload, :run_after, :created_by, :at)
on conflict do nothing
returning id;

-- name: open(kind)^
-- The job of a single kind that is queued or runs. Index jobs_single.
select id
from jobs
where kind = :kind and kind in ('scan', 'digest') and state in ('queued', 'running')
limit 1;

-- name: amend(id, payload)!
-- Who joins an open job may ask it for more.
update jobs
set payload = :payload
where id = :id;

-- name: payload(id)$
-- What a job was asked for, as it is now. By the primary key.
select payload
from jobs
where id = :id;

-- name: claim(kinds, now)^
-- Take the next job of a kind that is free (a JSON array). Index jobs_queued.
update jobs
set state = 'running', tries = tries + 1, started_at = :now, done = 0, message = '', error = null
where id = (
    select id
    from jobs
    where state = 'queued' and run_after <= :now and kind in (select value from json_each(:kinds))
    order by run_after, created_at
    limit 1
)
returning id, kind, payload, tries;

-- name: due(kinds)$
-- When the next job of a kind that is free (a JSON array) wants to run. Index jobs_queued.
select min(run_after)
from jobs
where state = 'queued' and kind in (select value from json_each(:kinds));

-- name: progress(id, done, total, message)!
-- How far a job is.
update jobs
set done = :done, total = :total, message = :message
where id = :id and state = 'running';

-- name: end(id, state, error, result, at)^
-- A job's end.
update jobs
set state = :state, error = :error, result = :result, ended_at = :at
where id = :id and state in ('queued', 'running')
returning id;

-- name: again(id, error, run_after)^
-- Another try, later; none for a job that was cancelled meanwhile.
update jobs
set state = 'queued', error = :error, run_after = :run_after
where id = :id and state = 'running'
returning id;

-- name: requeue(at)
-- What was running when the service ended runs again.
update jobs
set state = 'queued', run_after = :at
where state = 'running'
returning id;

-- name: purge(before)!
-- Jobs that ended long ago.
delete from jobs
where ended_at < :before;

-- name: job(id)^
-- One job. By the primary key.
select id, kind, state, done, total, message, error, result, tries, created_at, started_at, ended_at
from jobs
where id = :id;

-- name: newest(before, before_id, take)
-- Jobs, newest first. Index jobs_newest.
select id, kind, state, done, total, message, error, result, tries, created_at, started_at, ended_at
from jobs
where (created_at, id) < (:before, :before_id)
order by created_at desc, id desc
limit :take;

-- name: total()$
-- How many jobs are kept; at most a month's.
select count(*)
from jobs;

-- name: dead(since)$
-- Jobs of the last day that failed for good, for the health page.
select count(*)
from jobs
where state = 'failed' and ended_at > :since;
