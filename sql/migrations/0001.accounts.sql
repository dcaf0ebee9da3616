-- One household, few people, many devices. Times are microseconds UTC everywhere.

create table users (
    id text primary key,
    email text check (length(email) <= 255),
    name text not null default '',
    password_hash text,
    google_id text unique,
    avatar_url text,
    role text not null default 'user' check (role in ('user', 'admin', 'team_admin', 'owner')),
    tier text not null default 'free' check (tier in ('free', 'byok')),
    encrypted_api_key text,
    usage_count integer not null default 0,
    created_at integer not null,
    updated_at integer not null
) strict;

create unique index users_email on users (lower(email));

-- One row a refresh token; a family is one sign-in of one device, and what people call a session.
create table sessions (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    family_id text not null,
    refresh_hash text not null unique,
    device_name text not null default '',
    user_agent text not null default '',
    address text not null default '',
    issued_at integer not null,
    expires_at integer not null,
    last_used_at integer not null,
    spent_at integer,
    forgiven_at integer,
    revoked_at integer
) strict;

create index sessions_family on sessions (family_id, user_id);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

create table api_keys (
    id text primary key,
    user_id text not null references users (id) on delete cascade,
    name text not null,
    prefix text not null unique,
    hash text not null,
    scope text not null check (scope in ('read', 'upload', 'write', 'admin')),
    created_at integer not null,
    last_used_at integer,
    expires_at integer,
    revoked_at integer
) strict;

create index api_keys_user on api_keys (user_id);
