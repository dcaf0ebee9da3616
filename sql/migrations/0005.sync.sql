-- Uploads in parts, edits made offline, what WebDAV clients note, and lines that lost to another one.

-- What a client has begun to send; its bytes are in a file of that id, and how many there are is that file's size.
create table uploads (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    size integer not null,
    -- Upload-Metadata as it was sent: HEAD gives it back.
    metadata text not null default '',
    -- From where on the bytes have not been checked yet, while a chunk with a checksum arrives.
    unchecked_from integer,
    -- What it has become, and whether that was here before.
    photo_id text,
    duplicate integer not null default 0 check (duplicate in (0, 1)),
    active_at integer not null
) strict;

create index uploads_active on uploads (active_at);

-- Edits made offline, so that one that is sent again gets its first answer again.
create table edits (
    user_id text not null references users (id) on delete cascade,
    edit_id text not null,
    -- The device's session; null for an API key, which several devices may share.
    session_id text,
    photo_id text not null,
    -- The version of the photo that it made, if it made one.
    version integer,
    answer text not null,
    at integer not null,
    primary key (user_id, edit_id)
) strict, without rowid;

create index edits_photo on edits (photo_id, version);
create index edits_at on edits (at);

-- Properties that WebDAV clients attach to what they store (RFC 4918 §4); `value` is XML.
create table dav_properties (
    path text not null,
    namespace text not null,
    name text not null,
    value text not null,
    primary key (path, namespace, name)
) strict, without rowid;

-- A line that met another one, made elsewhere meanwhile, is kept beside it: origin `conflict`, never the current one.
alter table lines rename to old_lines;

create table lines (
    photo_id text not null references photos (id) on delete cascade,
    version integer not null,
    line text not null,
    author_id text references users (id) on delete set null,
    device text not null default '',
    origin text not null check (origin in ('file', 'edit', 'batch', 'restore', 'conflict')),
    at integer not null,
    primary key (photo_id, version)
) strict, without rowid;

insert into lines (photo_id, version, line, author_id, device, origin, at)
select photo_id, version, line, author_id, device, origin, at from old_lines;

drop table old_lines;

-- Files that were edited after they came: a phone may ask for the content that they have now.
create index photos_content on photos (content_hash) where content_hash <> sha256;
-- What a client that asks for a hash may be waiting for.
create index photos_unhashed on photos (size) where sha256 is null;
