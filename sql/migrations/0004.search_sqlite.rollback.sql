drop trigger photos_recounted;
drop trigger photos_rekeyed;
drop trigger photos_reworded;
drop trigger photos_deleted;
drop trigger photos_inserted;
drop table search;
