-- The store as it is today. A new store is made from this text; an old one gets there by the
-- numbered files in migrations/, and a test compares the two results.
--
-- Hot rows hold integers: statuses are the enums of core/states.py, times are microseconds since
-- 1970 UTC, and keys are run_no << 24 | number, so that what belongs to a run lies together and
-- needs no second index. The views at the end say the same in words.

create table store (
  one integer primary key check (one = 1),
  next_run_no integer not null check (next_run_no > 0),
  clock_us integer not null
) strict;

insert into store values (1, 1, 0);

-- What makes the keys that this store hands out unlike those of every other store.
create table identity (
  one integer primary key check (one = 1),
  uid text not null
) strict;

insert into identity values (1, lower(hex(randomblob(6))));

-- A process that runs work. autoincrement: an id that ever fenced a run is never used again.
create table node (
  node_id integer primary key autoincrement,
  epoch integer not null check (epoch > 0),
  state integer not null check (state between 0 and 2),
  boot_id text not null,
  pid integer not null,
  host text not null,
  role text not null,
  started_us integer not null,
  lease_until_us integer not null,
  -- The same lease on the machine's boot clock, which no one can set.
  machine text not null,
  lease_until_boot_us integer not null
) strict;

-- What changes while a run advances. Output and error come last: they are written once, at the
-- end. slot spreads organizations over several stores one day; it is here from the first day.
create table run (
  run_no integer primary key check (run_no between 1 and 549755813887),
  slot integer not null check (slot between 0 and 4095),
  status integer not null check (status between 0 and 10),
  reason text not null check (instr(reason, char(0)) = 0),
  priority integer not null check (priority between 0 and 100),
  generation integer not null check (generation > 0),
  last_seq integer not null check (last_seq between 0 and 16777215),
  home integer,
  home_epoch integer not null check (home_epoch >= 0),
  wake_us integer,
  started_us integer,
  ended_us integer,
  updated_us integer not null,
  recoveries integer not null check (recoveries >= 0),
  format integer not null,
  min_engine integer not null,
  steps_open integer not null,
  steps_done integer not null,
  steps_failed integer not null,
  output blob,
  error blob,
  check ((status >= 7) = (ended_us is not null))
) strict;

-- Homeless open runs by urgency: what adopt takes next.
create index run_due on run (priority, wake_us)
  where home is null and wake_us is not null and status < 7;

create index run_at_home on run (home) where home is not null;

-- What a run was started with; never changes, so ticks need not carry it along.
create table run_start (
  run_no integer primary key,
  organization text not null check (instr(organization, char(0)) = 0),
  workflow text not null check (instr(workflow, char(0)) = 0),
  def_hash text not null check (instr(def_hash, char(0)) = 0),
  created_us integer not null,
  parent_run integer,
  parent_step integer,
  forked_from integer,
  idempotency_key text check (instr(idempotency_key, char(0)) = 0),
  request_hash text not null check (instr(request_hash, char(0)) = 0),
  labels text check (instr(labels, char(0)) = 0),
  input blob not null
) strict;

create unique index run_start_key on run_start (organization, idempotency_key)
  where idempotency_key is not null;

create index run_start_parent on run_start (parent_run) where parent_run is not null;

create table run_label (
  name text not null check (instr(name, char(0)) = 0),
  value text not null check (instr(value, char(0)) = 0),
  run_no integer not null,
  primary key (name, value, run_no)
) strict, without rowid;

-- One packed record per run and tick: events first_seq .. first_seq + n - 1, where first_seq is
-- the low 24 bits of the key.
create table journal (
  key integer primary key,
  n integer not null check (n > 0),
  format integer not null,
  body blob not null
) strict;

create table snapshot (
  run_no integer primary key,
  seq integer not null,
  body blob not null
) strict;

create table step (
  key integer primary key,
  path text not null check (instr(path, char(0)) = 0),
  task text not null check (instr(task, char(0)) = 0),
  kind integer not null check (kind between 0 and 8),
  status integer not null check (status between 0 and 11),
  reason text not null check (instr(reason, char(0)) = 0),
  attempts integer not null check (attempts >= 0),
  started_us integer,
  ended_us integer,
  wake_us integer,
  error blob,
  check (status not in (6, 7) or ended_us is not null)
) strict;

create table approval (
  approval_no integer primary key,
  organization text not null check (instr(organization, char(0)) = 0),
  conversation_id text not null check (instr(conversation_id, char(0)) = 0),
  path text not null check (instr(path, char(0)) = 0),
  prompt text not null check (instr(prompt, char(0)) = 0),
  payload blob not null,
  payload_hash text not null check (instr(payload_hash, char(0)) = 0),
  status integer not null check (status between 0 and 5),
  generation integer not null check (generation > 0),
  created_us integer not null,
  expires_us integer,
  decided_us integer,
  decided_by text not null check (instr(decided_by, char(0)) = 0),
  comment text not null check (instr(comment, char(0)) = 0),
  requested_by text not null check (instr(requested_by, char(0)) = 0),
  four_eyes integer not null check (four_eyes in (0, 1)),
  escalated_us integer,
  escalated_to text not null check (instr(escalated_to, char(0)) = 0),
  edited blob,
  rework integer not null check (rework in (0, 1)),
  check (status <> 0 or decided_us is null),
  check (status not in (1, 2, 3) or decided_us is not null),
  check (rework = 0 or status = 2)
) strict;

create index approval_pending on approval (created_us, approval_no) where status = 0;

create index approval_pending_of on approval (organization, created_us, approval_no)
  where status = 0;

create table dead_letter (
  key integer primary key,
  path text not null check (instr(path, char(0)) = 0),
  reason text not null check (instr(reason, char(0)) = 0),
  created_us integer not null,
  status text not null check (status in ('parked', 'replayed', 'discarded', 'expired'))
) strict;

create index dead_letter_parked on dead_letter (created_us, key) where status = 'parked';

-- A queue, not a cursor: the tick that consumes a message deletes it.
create table inbox (
  key integer primary key,
  message_id text not null unique check (instr(message_id, char(0)) = 0),
  run_no integer not null check (run_no between 1 and 549755813887),
  body blob not null,
  sent_us integer not null
) strict;

create index inbox_run on inbox (run_no);

-- What became of a message; kept for a day.
create table outcome (
  key integer primary key,
  message_id text not null unique check (instr(message_id, char(0)) = 0),
  run_no integer not null,
  applied integer not null check (applied in (0, 1)),
  status integer not null check (status between 0 and 10),
  seq integer not null,
  detail text not null check (instr(detail, char(0)) = 0),
  decided_us integer not null,
  word text not null check (instr(word, char(0)) = 0)
) strict;

create table definition (
  organization text not null check (instr(organization, char(0)) = 0),
  def_hash text not null check (instr(def_hash, char(0)) = 0),
  name text not null check (instr(name, char(0)) = 0),
  number integer not null check (number > 0),
  label text not null check (instr(label, char(0)) = 0),
  body blob not null,
  created_us integer not null,
  primary key (organization, def_hash),
  unique (organization, name, number)
) strict;

-- Runs are pinned to a hash; whose definition it was makes no difference to what it says.
create index definition_hash on definition (def_hash, organization);

-- Which version of a workflow new runs get.
create table workflow (
  organization text not null,
  name text not null,
  active_hash text not null,
  primary key (organization, name),
  foreign key (organization, active_hash) references definition (organization, def_hash)
) strict, without rowid;

-- Where money is counted. What a node may not spend twice is decided in one place: here, in the
-- transaction that makes a hold. `limit_*` is what the account was last reserved under, to show.
create table budget_account (
  account text primary key check (instr(account, char(0)) = 0),
  cost_nano integer not null,
  tokens integer not null,
  calls integer not null,
  time_us integer not null,
  extra_cost_nano integer not null,
  extra_tokens integer not null,
  extra_calls integer not null,
  extra_time_us integer not null,
  limit_cost_nano integer,
  limit_tokens integer,
  limit_calls integer,
  limit_time_us integer,
  used_us integer not null
) strict, without rowid;

create index budget_account_used on budget_account (used_us);

-- A call, once for each account it falls under: under way (state 0), or over and known to its
-- process alone (state 2). The tick that ends its attempt settles it (state 1) and touches no
-- account; the next reservation adds it up there.
create table budget_hold (
  account text not null,
  hold text not null,
  run_no integer not null,
  step_no integer not null,
  attempt integer not null,
  node_id integer not null,
  state integer not null check (state in (0, 1, 2)),
  cost_nano integer not null check (cost_nano >= 0),
  tokens integer not null check (tokens >= 0),
  calls integer not null check (calls >= 0),
  time_us integer not null check (time_us >= 0),
  primary key (account, hold)
) strict, without rowid;

create index budget_hold_name on budget_hold (hold);

create index budget_hold_step on budget_hold (run_no, step_no);

-- What people granted on top; the columns hold what is left of it.
create table budget_grant (
  grant_id text primary key,
  account text not null,
  run_no integer not null,
  cost_nano integer not null,
  tokens integer not null,
  calls integer not null,
  time_us integer not null,
  granted_by text not null check (instr(granted_by, char(0)) = 0),
  at_us integer not null
) strict, without rowid;

create index budget_grant_run on budget_grant (run_no, account);

-- Rules that were set on this store, as JSON of core.budgets.Budget.
create table budget (
  name text primary key,
  body text not null
) strict, without rowid;

-- What providers billed, one row for each request; rows are never changed.
create table ledger (
  number integer primary key,
  key text not null unique check (instr(key, char(0)) = 0),
  hold text not null,
  run_no integer not null check (run_no between 1 and 549755813887),
  step_no integer not null,
  attempt integer not null,
  organization text not null check (instr(organization, char(0)) = 0),
  provider text not null check (instr(provider, char(0)) = 0),
  model text not null check (instr(model, char(0)) = 0),
  agent text not null check (instr(agent, char(0)) = 0),
  input integer not null check (input >= 0),
  cached integer not null check (cached >= 0),
  cache_write integer not null check (cache_write >= 0),
  output integer not null check (output >= 0),
  thinking integer not null check (thinking >= 0),
  cost_nano integer not null check (cost_nano >= 0),
  is_estimated integer not null check (is_estimated in (0, 1)),
  prices text not null check (instr(prices, char(0)) = 0),
  time_us integer not null,
  at_us integer not null
) strict;

create index ledger_run on ledger (run_no);

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

create table organization (
  slug text primary key check (instr(slug, char(0)) = 0),
  title text not null check (instr(title, char(0)) = 0),
  created_us integer not null
) strict, without rowid;

-- version grows over all rows with each change but last_used_us: processes ask for what is new.
create table api_key (
  key_id text primary key,
  organization text not null check (instr(organization, char(0)) = 0),
  role text not null check (role in ('viewer', 'operator', 'approver', 'author', 'admin')),
  name text not null check (instr(name, char(0)) = 0),
  hash text not null unique check (length(hash) = 64),
  hint text not null,
  created_us integer not null,
  created_by text not null check (instr(created_by, char(0)) = 0),
  expires_us integer,
  last_used_us integer,
  revoked_us integer,
  revoked_by text not null check (instr(revoked_by, char(0)) = 0),
  successor text not null,
  version integer not null unique check (version > 0)
) strict, without rowid;

-- One chain for each organization: a row's hash covers the hash of the row before it.
create table audit (
  organization text not null check (instr(organization, char(0)) = 0),
  seq integer not null check (seq > 0),
  at_us integer not null,
  actor text not null check (instr(actor, char(0)) = 0),
  action text not null check (instr(action, char(0)) = 0),
  subject text not null check (instr(subject, char(0)) = 0),
  via text not null,
  key_id text not null,
  request_id text not null check (instr(request_id, char(0)) = 0),
  detail text not null check (instr(detail, char(0)) = 0),
  hash text not null check (length(hash) = 64),
  primary key (organization, seq)
) strict, without rowid;

-- Where each chain ends: without it, rows taken off the end would leave no trace.
create table audit_head (
  organization text primary key,
  seq integer not null,
  hash text not null
) strict, without rowid;

create trigger audit_stays before update on audit
begin
  select raise (abort, 'the audit log is append-only');
end;

create trigger audit_is_kept before delete on audit
begin
  select raise (abort, 'the audit log is append-only');
end;

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

create view orchestration_runs as
select 'run_'
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no >> 35 & 31) + 1, 1)
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no >> 30 & 31) + 1, 1)
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no >> 25 & 31) + 1, 1)
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no >> 20 & 31) + 1, 1)
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no >> 15 & 31) + 1, 1)
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no >> 10 & 31) + 1, 1)
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no >> 5 & 31) + 1, 1)
         || substr('0123456789abcdefghjkmnpqrstvwxyz', (run_no & 31) + 1, 1) as run_id,
       run_start.organization, run_start.workflow, run_start.def_hash,
       case run.status
         when 0 then 'queued' when 1 then 'planning' when 2 then 'running' when 3 then 'waiting'
         when 4 then 'paused' when 5 then 'cancelling' when 6 then 'compensating'
         when 7 then 'completed' when 8 then 'failed' when 9 then 'cancelled'
         when 10 then 'aborted' end as status,
       run.reason, run.priority, run.generation, run.last_seq, run.home as node_id,
       run.recoveries, run.steps_open, run.steps_done, run.steps_failed,
       strftime('%Y-%m-%dT%H:%M:%fZ', run_start.created_us / 1e6, 'unixepoch') as created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.started_us / 1e6, 'unixepoch') as started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.ended_us / 1e6, 'unixepoch') as ended_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.updated_us / 1e6, 'unixepoch') as updated_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.wake_us / 1e6, 'unixepoch') as wake_at,
       run_start.idempotency_key, run_start.labels, run_no
  from run join run_start using (run_no);

create view orchestration_steps as
select 'stp_' || substr(runs.run_id, 5) || '_' || (step.key & 16777215) as step_id,
       runs.run_id, step.path, step.task,
       case step.kind
         when 0 then 'task' when 1 then 'map' when 2 then 'block' when 3 then 'loop'
         when 4 then 'sleep' when 5 then 'signal' when 6 then 'approval' when 7 then 'child'
         when 8 then 'value' end as kind,
       case step.status
         when 0 then 'pending' when 1 then 'queued' when 2 then 'running' when 3 then 'retrying'
         when 4 then 'waiting' when 5 then 'checkpoint_pending' when 6 then 'completed'
         when 7 then 'failed' when 8 then 'skipped' when 9 then 'cancelled'
         when 10 then 'compensating' when 11 then 'compensated' end as status,
       step.reason, step.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', step.started_us / 1e6, 'unixepoch') as started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', step.ended_us / 1e6, 'unixepoch') as ended_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', step.wake_us / 1e6, 'unixepoch') as wake_at,
       step.key >> 24 as run_no, step.key & 16777215 as step_no
  from step join orchestration_runs as runs on runs.run_no = step.key >> 24;

create view human_approvals as
select 'apr_' || substr(runs.run_id, 5) || '_' || (approval.approval_no & 16777215)
         as approval_id,
       runs.run_id, approval.organization, approval.conversation_id, approval.path,
       approval.prompt, approval.payload_hash,
       case approval.status
         when 0 then 'pending' when 1 then 'approved' when 2 then 'rejected'
         when 3 then 'edited_and_approved' when 4 then 'expired' when 5 then 'cancelled'
         end as status,
       approval.generation,
       strftime('%Y-%m-%dT%H:%M:%fZ', approval.created_us / 1e6, 'unixepoch') as created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', approval.expires_us / 1e6, 'unixepoch') as expires_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', approval.decided_us / 1e6, 'unixepoch') as decided_at,
       approval.decided_by, approval.comment, approval.requested_by, approval.four_eyes,
       strftime('%Y-%m-%dT%H:%M:%fZ', approval.escalated_us / 1e6, 'unixepoch') as escalated_at,
       approval.escalated_to, approval.rework, approval.approval_no
  from approval join orchestration_runs as runs on runs.run_no = approval.approval_no >> 24;

create view billed_requests as
select runs.run_id, runs.organization, runs.workflow, ledger.step_no, ledger.attempt,
       ledger.provider, ledger.model, ledger.agent, ledger.input, ledger.cached,
       ledger.cache_write, ledger.output, ledger.thinking, ledger.cost_nano / 1e9 as cost_usd,
       ledger.is_estimated, ledger.prices,
       strftime('%Y-%m-%dT%H:%M:%fZ', ledger.at_us / 1e6, 'unixepoch') as billed_at,
       ledger.key, ledger.run_no
  from ledger join orchestration_runs as runs using (run_no);
