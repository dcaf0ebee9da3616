-- The library. A photo is a row here for ever, whatever becomes of its file.

create table albums (
    id text primary key,
    folder text unique,
    title text not null,
    created_at integer not null
) strict;

create table photos (
    id text primary key,
    -- Order by capture time, unique: milliseconds since 1970 times 2^20, plus a counter among equals.
    -- It is the search index's row id as well, so that a search gives its newest page without sorting.
    taken_rank integer not null unique,
    object_key text not null,
    folder text not null generated always as (rtrim(object_key, replace(object_key, '/', ''))) stored,
    description text not null default '',
    keywords text not null default '[]',
    favourite integer not null default 0 check (favourite in (0, 1)),
    needs_line integer not null default 1 check (needs_line in (0, 1)),
    kind text not null check (kind in ('photo', 'video')),
    mime_type text not null,
    size integer not null,
    width integer,
    height integer,
    duration real,
    taken_at integer not null,
    taken_offset integer,
    taken_at_source text not null,
    camera text,
    lens text,
    exposure text,
    f_number real,
    iso integer,
    lat real,
    lon real,
    place text,
    -- What the full-text index holds of this photo: folded words of line, keywords, names and place.
    words text not null,
    fingerprint text not null,
    sha256 text,
    content_hash text,
    placeholder text,
    -- 1 until the background has read the file as it is now; until then content_hash is that of the file before.
    unread integer not null default 1 check (unread in (0, 1)),
    -- Why the pixels could not be read, as a code; the original is served all the same.
    problem text,
    version integer not null default 1,
    last_modified integer not null,
    imported_at integer not null,
    missing_at integer,
    trashed_at integer,
    shelf text not null generated always as (
        case when trashed_at is not null then 'trash' when missing_at is not null then 'missing' else 'library' end
    ) stored,
    untold integer not null generated always as (description = '' and needs_line = 1) stored,
    -- Days since 1970 by the clock on the wall where the photo was taken, rounded down.
    taken_day integer not null generated always as (
        (taken_at + coalesce(taken_offset, 0) * 60000000) / 86400000000
        - ((taken_at + coalesce(taken_offset, 0) * 60000000) % 86400000000 < 0)
    ) stored,
    -- The photo as clients get it. Built at each write, since it is read a thousand times as often:
    -- a page of 50 from here takes 18 µs, building it anew 200 µs (docs/decisions/0002).
    item text not null generated always as (json_object(
        'id', id,
        'object_key', object_key,
        'description', description,
        'last_modified', strftime('%Y-%m-%dT%H:%M:%S', last_modified / 1000000, 'unixepoch')
            || printf('.%06dZ', last_modified % 1000000),
        'version', version,
        'metadata', json_object(
            'description', description,
            'keywords', json(keywords),
            'width', width,
            'height', height,
            'duration', duration,
            'taken_at', strftime('%Y-%m-%dT%H:%M:%S',
                (taken_at - (taken_at % 1000000 + 1000000) % 1000000) / 1000000 + coalesce(taken_offset, 0) * 60, 'unixepoch')
                || case when taken_at % 1000000 = 0 then ''
                    else rtrim(printf('.%06d', (taken_at % 1000000 + 1000000) % 1000000), '0') end
                || case when taken_offset is null then 'Z'
                    else printf('%s%02d:%02d', case when taken_offset < 0 then '-' else '+' end,
                        abs(taken_offset) / 60, abs(taken_offset) % 60) end,
            'taken_at_source', taken_at_source,
            'camera', camera,
            'lens', lens,
            'exposure', exposure,
            'f_number', f_number,
            'iso', iso,
            'location', case when lat is null then null else json_object('lat', lat, 'lon', lon) end,
            'place', place,
            'favourite', json(case favourite when 1 then 'true' else 'false' end),
            'needs_line', json(case needs_line when 1 then 'true' else 'false' end)
        ),
        'mime_type', mime_type,
        'size', size,
        'sha256', sha256,
        'kind', kind,
        'placeholder', placeholder,
        'problem', problem,
        'imported_at', strftime('%Y-%m-%dT%H:%M:%S', imported_at / 1000000, 'unixepoch')
            || printf('.%06dZ', imported_at % 1000000),
        'missing', json(case when missing_at is null then 'false' else 'true' end),
        'trashed', json(case when trashed_at is null then 'false' else 'true' end),
        'links', json_object('image', '/photos/' || id || '/image', 'thumbnail', '/photos/' || id || '/thumbnail')
    )) stored,
    check ((lat is null) = (lon is null))
) strict;

-- One index for each order in which a shelf (library, trash, missing) is read.
create index photos_taken on photos (shelf, taken_rank);
create index photos_untold on photos (shelf, taken_rank) where untold = 1;
create index photos_favourite on photos (shelf, taken_rank) where favourite = 1;
create index photos_videos on photos (shelf, taken_rank) where kind = 'video';
create index photos_folder on photos (folder, shelf, taken_rank);
create index photos_imported on photos (shelf, imported_at, taken_rank);
create index photos_modified on photos (shelf, last_modified, taken_rank);
create index photos_name on photos (shelf, object_key, taken_rank);
create index photos_located on photos (shelf, lat) where lat is not null;
-- Same content, found again: by fingerprint before it was hashed, by hash after.
create index photos_fingerprint on photos (fingerprint);
create index photos_sha256 on photos (sha256) where sha256 is not null;
-- What the background still has to read, newest first.
create index photos_problem on photos (problem) where problem is not null;
create index photos_unread on photos (taken_rank) where unread = 1 and missing_at is null;

-- Every path in the library that was looked at: a photo's file, a copy of it, or nothing of ours.
create table files (
    path text primary key,
    photo_id text references photos (id) on delete cascade,
    size integer not null,
    mtime_ns integer not null,
    inode integer not null,
    -- Why this is no photo: `skipped` for other things, else the code of a fault. Looked at again when it changes.
    problem text,
    detail text
) strict, without rowid;

create index files_photo on files (photo_id);
create index files_inode on files (inode);

-- Every line that a photo ever had; the newest is the current one.
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

-- What was deleted for good, so that a phone's backup does not bring it back.
create table tombstones (
    sha256 text primary key,
    photo_id text not null,
    deleted_by text,
    deleted_at integer not null
) strict, without rowid;

-- Indexes that a plain index cannot be; triggers keep them in step (0004).
create table photo_keywords (
    keyword text not null,
    taken_rank integer not null,
    primary key (keyword, taken_rank)
) strict, without rowid;

create index photo_keywords_photo on photo_keywords (taken_rank);

-- How many photos there are of each sort on each day: totals and timelines without counting the library.
create table photo_days (
    shelf text not null,
    day integer not null,
    kind text not null,
    favourite integer not null,
    untold integer not null,
    photos integer not null,
    primary key (shelf, day, kind, favourite, untold)
) strict, without rowid;
