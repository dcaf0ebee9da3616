drop table settings;
drop table jobs;
drop table changes;
