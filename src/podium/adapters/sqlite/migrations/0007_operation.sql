-- Operation: captured logs, retention, and the indexes that lists need.

-- What lists of runs are sorted and filtered by: one narrow row for each run, for a list over a
-- million runs must not read their outputs.
create table run_listed (
  run_no integer primary key,
  organization text not null,
  workflow text not null,
  status integer not null,
  created_us integer not null
) strict;

create index run_listed_status on run_listed (organization, status, created_us);

create index run_listed_workflow on run_listed (organization, workflow, status, created_us);

insert into run_listed (run_no, organization, workflow, status, created_us)
select run_no, organization, workflow, status, created_us
  from run join run_start using (run_no);

-- What attempts printed and logged. Kept beside the journal, not in it: nothing depends on it.
create table log (
  number integer primary key,
  run_no integer not null,
  step text not null check (instr(step, char(0)) = 0),
  attempt integer not null,
  at_us integer not null,
  level text not null check (instr(level, char(0)) = 0),
  source text not null check (instr(source, char(0)) = 0),
  text text not null check (instr(text, char(0)) = 0)
) strict;

create index log_run on log (run_no, number);

create index log_at on log (at_us);

-- Runs that retention has taken away: their row is gone, and what was theirs goes piece by piece.
create table run_forgotten (
  run_no integer primary key
) strict;
