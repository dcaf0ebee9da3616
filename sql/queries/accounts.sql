-- name: owner()^
-- The account that the household's password signs in as: the first owner. Few rows.
select id, email, name, password_hash, avatar_url, role, tier, usage_count, created_at, updated_at
from users
where role = 'owner'
order by created_at, id
limit 1;

-- name: user(id)^
-- One account. By the primary key.
select id, email, name, password_hash, avatar_url, role, tier, usage_count, created_at, updated_at
from users
where id = :id;

-- name: users()
-- All accounts, for the command line. Few rows.
select id, email, name, role, password_hash is not null as has_password, created_at
from users
order by created_at, id;

-- name: add_user(id, name, role, password_hash, at)!
-- A new account.
insert into users (id, name, role, password_hash, created_at, updated_at)
values (:id, :name, :role, :password_hash, :at, :at);

-- name: set_password(id, password_hash, at)!
-- A new password.
update users
set password_hash = :password_hash, updated_at = :at
where id = :id;

-- name: set_name(id, name, at)!
-- A new display name.
update users
set name = :name, updated_at = :at
where id = :id;

-- name: add_session(id, user_id, family_id, refresh_hash, device_name, user_agent, address, issued_at, expires_at)!
-- A refresh token of a family: one a sign-in, and one more at each refresh.
insert into sessions (id, user_id, family_id, refresh_hash, device_name, user_agent, address, issued_at, expires_at, last_used_at)
values (:id, :user_id, :family_id, :refresh_hash, :device_name, :user_agent, :address, :issued_at, :expires_at, :issued_at);

-- name: session_by_hash(refresh_hash)^
-- The refresh token that a client shows, with its user. By the unique index on the hash.
select s.id, s.user_id, s.family_id, s.device_name, s.issued_at, s.expires_at, s.spent_at, s.forgiven_at, s.revoked_at, u.role
from sessions s
join users u on u.id = s.user_id
where s.refresh_hash = :refresh_hash;

-- name: spend_session(id, at)!
-- A refresh token may be used once.
update sessions
set spent_at = :at, last_used_at = :at
where id = :id and spent_at is null;

-- name: forgive_session(id, at)!
-- The one retry that a lost answer is allowed.
update sessions
set forgiven_at = :at
where id = :id and forgiven_at is null;

-- name: revoke_unspent(family_id, at)!
-- The answer that got lost carried a token that nobody may use now. By the index on the family.
update sessions
set revoked_at = :at
where family_id = :family_id and spent_at is null and revoked_at is null;

-- name: revoke_family(family_id, user_id, at)!
-- Sign a device out. By the index on the family.
update sessions
set revoked_at = :at
where family_id = :family_id and user_id = :user_id and revoked_at is null;

-- name: revoke_other_families(user_id, family_id, at)
-- Sign every other device of an account out; gives the families. By the index on the user.
update sessions
set revoked_at = :at
where user_id = :user_id and family_id <> :family_id and revoked_at is null
returning family_id;

-- name: live_family(family_id, now)^
-- Whether a device is still signed in, asked once for each access token. By the index on the family.
select s.user_id, s.device_name, u.role
from sessions s
join users u on u.id = s.user_id
where s.family_id = :family_id and s.revoked_at is null and s.expires_at > :now
limit 1;

-- name: devices(user_id, now)
-- The devices that an account is signed in on, each with its newest token. By the index on the user.
select s.family_id, s.device_name, s.user_agent, s.address, s.issued_at, s.expires_at, s.last_used_at,
    (select min(first.issued_at) from sessions first where first.family_id = s.family_id) as signed_in_at
from sessions s
where s.user_id = :user_id and s.revoked_at is null and s.spent_at is null and s.expires_at > :now
order by s.last_used_at desc, s.family_id;

-- name: device(family_id, user_id)^
-- Whether a device is this account's at all. By the index on the family.
select family_id
from sessions
where family_id = :family_id and user_id = :user_id
limit 1;

-- name: purge_sessions(before)!
-- Tokens that ran out can be forgotten: they are refused with or without their row. By the index on the expiry.
delete from sessions
where expires_at < :before;

-- name: add_key(id, user_id, name, prefix, hash, scope, created_at, expires_at)!
-- A new API key; the key itself is kept nowhere.
insert into api_keys (id, user_id, name, prefix, hash, scope, created_at, expires_at)
values (:id, :user_id, :name, :prefix, :hash, :scope, :created_at, :expires_at);

-- name: key_by_prefix(prefix)^
-- The API key that a client shows. By the unique index on the prefix.
select k.id, k.user_id, k.name, k.hash, k.scope, k.last_used_at, k.expires_at, k.revoked_at, u.role
from api_keys k
join users u on u.id = k.user_id
where k.prefix = :prefix;

-- name: keys(user_id)
-- An account's keys that can be used, newest first. By the index on the user.
select id, name, prefix, scope, created_at, last_used_at, expires_at
from api_keys
where user_id = :user_id and revoked_at is null
order by created_at desc, id;

-- name: key(id, user_id)^
-- One key of an account. By the primary key.
select id, name, prefix, scope, created_at, last_used_at, expires_at
from api_keys
where id = :id and user_id = :user_id and revoked_at is null;

-- name: expire_key(id, expires_at)!
-- A rotated key goes on for a stated time, never longer than it would have.
update api_keys
set expires_at = min(coalesce(expires_at, :expires_at), :expires_at)
where id = :id;

-- name: revoke_key(id, user_id, at)!
-- A key that is valid no more.
update api_keys
set revoked_at = :at
where id = :id and user_id = :user_id and revoked_at is null;

-- name: used_key(id, at)!
-- When a key was last used; noted at most once an hour.
update api_keys
set last_used_at = :at
where id = :id;
