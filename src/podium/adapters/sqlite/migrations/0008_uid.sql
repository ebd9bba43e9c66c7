-- What makes the keys that this store hands out unlike those of every other store.
create table identity (
  one integer primary key check (one = 1),
  uid text not null
) strict;

insert into identity values (1, lower(hex(randomblob(6))));
