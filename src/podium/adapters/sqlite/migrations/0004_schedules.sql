-- Schedules, and what became of their ticks.

-- autoincrement: the number is part of the idempotency keys of runs and never used again.
-- revision guards every change, so that of two nodes that take the same tick one is refused.
create table schedule (
  schedule_no integer primary key autoincrement,
  organization text not null check (instr(organization, char(0)) = 0),
  name text not null check (instr(name, char(0)) = 0),
  status integer not null check (status between 0 and 2),
  revision integer not null check (revision > 0),
  cursor_us integer not null,
  next_us integer,
  held_us integer,
  starts integer not null check (starts >= 0),
  body text not null,
  created_us integer not null,
  updated_us integer not null,
  changed_by text not null check (instr(changed_by, char(0)) = 0),
  comment text not null check (instr(comment, char(0)) = 0),
  failures integer not null check (failures >= 0),
  error text not null check (instr(error, char(0)) = 0),
  unique (organization, name),
  check (status <> 2 or next_us is null)
) strict;

create index schedule_due on schedule (next_us) where status = 0 and next_us is not null;

create index schedule_held on schedule (held_us) where held_us is not null;

-- is_open: the run may be open; false for good once a later tick started a run after its end.
create table schedule_tick (
  schedule_no integer not null,
  tick_us integer not null,
  outcome integer not null check (outcome between 0 and 3),
  kind integer not null check (kind between 0 and 2),
  run_no integer not null,
  is_open integer not null check (is_open in (0, 1)),
  at_us integer not null,
  detail text not null check (instr(detail, char(0)) = 0),
  primary key (schedule_no, tick_us),
  check ((outcome = 0) = (run_no > 0)),
  check (is_open = 0 or outcome = 0)
) strict, without rowid;
