drop index photos_unhashed;
drop index photos_content;

alter table lines rename to new_lines;

create table lines (
    photo_id text not null references photos (id) on delete cascade,
    version integer not null,
    line text not null,
    author_id text references users (id) on delete set null,
    device text not null default '',
    origin text not null check (origin in ('file', 'edit', 'batch', 'restore')),
    at integer not null,
    primary key (photo_id, version)
) strict, without rowid;

-- The older schema has no word for lines that lost to another; they were edits.
insert into lines (photo_id, version, line, author_id, device, origin, at)
select photo_id, version, line, author_id, device, case origin when 'conflict' then 'edit' else origin end, at
from new_lines;

drop table new_lines;

drop table dav_properties;
drop table edits;
drop table uploads;
