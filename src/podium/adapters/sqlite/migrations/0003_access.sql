-- Organizations, keys and the audit log; definitions belong to an organization from now on.
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

-- Versions go to the organization whose runs use them; drafts to the only one there is.
create temp table old_definition as select * from definition;

create temp table old_workflow as select * from workflow;

drop table workflow;

drop table definition;

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

insert into definition
select distinct
       coalesce(run_start.organization,
                (select min(organization) from run_start
                 having count(distinct organization) = 1), 'default'),
       def_hash, name, number, label, body, old_definition.created_us
  from old_definition left join run_start using (def_hash);

-- The active version where the organization has it, else its newest one.
insert into workflow
select organization, name, def_hash
  from (select *, row_number() over (
                    partition by organization, name
                    order by def_hash in (select active_hash from old_workflow) desc, number desc)
                  as place
          from definition where name in (select name from old_workflow))
 where place = 1;

drop table old_definition;

drop table old_workflow;
