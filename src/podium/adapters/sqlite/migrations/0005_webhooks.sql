-- Webhooks: who is told of events, and what is still to be delivered.

-- One row for each tick, in the order of commits: the runs it advanced, packed (see feed.py).
-- Ticks write here once feed_reader has its row; the newest row is never removed, for its number
-- is what the next one goes on from.
create table feed (
  no integer primary key,
  runs blob not null
) strict;

-- That somebody reads the feed, and how far webhooks were told.
create table feed_reader (
  one integer primary key check (one = 1),
  told_until integer not null
) strict;

create table webhook (
  webhook_id text primary key,
  organization text not null check (instr(organization, char(0)) = 0),
  direction text not null check (direction in ('in', 'out')),
  url text not null check (instr(url, char(0)) = 0),
  events text not null check (instr(events, char(0)) = 0),
  workflow text not null check (instr(workflow, char(0)) = 0),
  signal text not null check (instr(signal, char(0)) = 0),
  pointer text not null check (instr(pointer, char(0)) = 0),
  secrets text not null,
  description text not null check (instr(description, char(0)) = 0),
  is_active integer not null check (is_active in (0, 1)),
  reason text not null check (instr(reason, char(0)) = 0),
  since_no integer not null,
  created_us integer not null
) strict, without rowid;

create table webhook_delivery (
  delivery_no integer primary key,
  webhook_id text not null,
  message_id text not null,
  event_type text not null,
  body blob not null,
  status text not null check (status in ('pending', 'delivered', 'dead')),
  attempts integer not null check (attempts >= 0),
  due_us integer not null,
  lease_until_us integer,
  created_us integer not null,
  ended_us integer,
  code integer not null,
  detail text not null check (instr(detail, char(0)) = 0),
  unique (webhook_id, message_id),
  check ((status = 'pending') = (ended_us is null))
) strict;

-- What is to be done next: a leased delivery comes again when its lease has ended.
create index webhook_delivery_due on webhook_delivery (coalesce(lease_until_us, due_us))
  where status = 'pending';

create index webhook_delivery_of on webhook_delivery (webhook_id, delivery_no);

create index webhook_delivery_ended on webhook_delivery (ended_us) where status = 'delivered';
