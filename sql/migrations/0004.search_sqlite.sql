-- What only SQLite can: the full-text index, and the triggers that keep the indexes of photos in step.
-- The words are folded before they get here (photos/words.py): no case, no accents, one word a CJK character.
-- Prefix indexes make a search as one types as cheap as a whole word.
create virtual table search using fts5 (
    words,
    content = 'photos',
    content_rowid = 'taken_rank',
    columnsize = 0,
    prefix = '1 2 3 4 5 6',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M*'"
);

create trigger photos_inserted after insert on photos
begin
    insert into search (rowid, words) values (new.taken_rank, new.words);
    insert into photo_keywords (keyword, taken_rank)
    select value, new.taken_rank from json_each(new.keywords);
    insert into photo_days (shelf, day, kind, favourite, untold, photos)
    values (new.shelf, new.taken_day, new.kind, new.favourite, new.untold, 1)
    on conflict do update set photos = photos + 1;
end;

create trigger photos_deleted after delete on photos
begin
    insert into search (search, rowid, words) values ('delete', old.taken_rank, old.words);
    delete from photo_keywords where taken_rank = old.taken_rank;
    update photo_days set photos = photos - 1
    where shelf = old.shelf and day = old.taken_day and kind = old.kind
        and favourite = old.favourite and untold = old.untold;
end;

create trigger photos_reworded after update of words, taken_rank on photos
when old.words <> new.words or old.taken_rank <> new.taken_rank
begin
    insert into search (search, rowid, words) values ('delete', old.taken_rank, old.words);
    insert into search (rowid, words) values (new.taken_rank, new.words);
end;

create trigger photos_rekeyed after update of keywords, taken_rank on photos
when old.keywords <> new.keywords or old.taken_rank <> new.taken_rank
begin
    delete from photo_keywords where taken_rank = old.taken_rank;
    insert into photo_keywords (keyword, taken_rank)
    select value, new.taken_rank from json_each(new.keywords);
end;

create trigger photos_recounted
after update of description, needs_line, favourite, kind, taken_at, taken_offset, missing_at, trashed_at on photos
when old.shelf <> new.shelf or old.taken_day <> new.taken_day or old.kind <> new.kind
    or old.favourite <> new.favourite or old.untold <> new.untold
begin
    update photo_days set photos = photos - 1
    where shelf = old.shelf and day = old.taken_day and kind = old.kind
        and favourite = old.favourite and untold = old.untold;
    insert into photo_days (shelf, day, kind, favourite, untold, photos)
    values (new.shelf, new.taken_day, new.kind, new.favourite, new.untold, 1)
    on conflict do update set photos = photos + 1;
end;
