-- The change feed: one row for every write, in the write's own transaction.
create table changes (
    seq integer primary key autoincrement,
    at integer not null,
    actor text,
    device text not null default '',
    entity text not null,
    entity_id text not null,
    action text not null check (action in ('create', 'update', 'delete')),
    version integer not null,
    data text not null default '{}'
) strict;

create index changes_entity on changes (entity, entity_id, seq);

create table jobs (
    id text primary key,
    kind text not null,
    payload text not null default '{}',
    state text not null default 'queued' check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    done integer not null default 0,
    total integer,
    message text not null default '',
    error text,
    result text,
    tries integer not null default 0,
    run_after integer not null,
    created_by text,
    created_at integer not null,
    started_at integer,
    ended_at integer
) strict;

create index jobs_queued on jobs (run_after, created_at) where state = 'queued';
create index jobs_newest on jobs (created_at, id);
-- A second scan joins the one that is queued or runs; so does the reading of what the scan found.
create unique index jobs_single on jobs (kind) where kind in ('scan', 'digest') and state in ('queued', 'running');

-- Facts about this installation that only it can know, such as the id in the library's marker file.
create table settings (
    name text primary key,
    value text not null
) strict;
