drop table api_keys;
drop table sessions;
drop table users;
