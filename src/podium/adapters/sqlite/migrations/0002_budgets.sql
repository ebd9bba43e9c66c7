-- Budgets and the ledger.

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

create view billed_requests as
select runs.run_id, runs.organization, runs.workflow, ledger.step_no, ledger.attempt,
       ledger.provider, ledger.model, ledger.agent, ledger.input, ledger.cached,
       ledger.cache_write, ledger.output, ledger.thinking, ledger.cost_nano / 1e9 as cost_usd,
       ledger.is_estimated, ledger.prices,
       strftime('%Y-%m-%dT%H:%M:%fZ', ledger.at_us / 1e6, 'unixepoch') as billed_at,
       ledger.key, ledger.run_no
  from ledger join orchestration_runs as runs using (run_no);
