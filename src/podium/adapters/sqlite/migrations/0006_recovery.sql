-- Recovery and approvals: who asked, who is told next, what was edited; why a verb was refused.
create temp table old_approval as select * from approval;

create temp table old_outcome as select * from outcome;

drop view human_approvals;

drop table approval;

drop table outcome;

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

insert into approval
select *, '', 0, null, '', null, 0 from old_approval;

create index approval_pending on approval (created_us, approval_no) where status = 0;

create index approval_pending_of on approval (organization, created_us, approval_no)
  where status = 0;

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

insert into outcome
select *, '' from old_outcome;

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

drop table old_approval;

drop table old_outcome;
