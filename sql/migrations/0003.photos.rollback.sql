drop table photo_days;
drop table photo_keywords;
drop table tombstones;
drop table lines;
drop table files;
drop table photos;
drop table albums;
