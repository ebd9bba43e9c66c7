-- Every statement of the store but the schema, by name. Format: `-- name -- what it does.`, then
-- the text. Statements that change a state carry their guard; no row changed = guard refused.

-- tick_run -- Advance a run that stays here; both guards: node up, and (home, epoch, sequence).
update run set last_seq = ?1, updated_us = ?2
 where run_no = ?3 and home = ?4 and home_epoch = ?5 and last_seq = ?6
   and exists (select 1 from node where node_id = ?4 and epoch = ?7 and state = 0);

-- tick_run_row -- The same, with a new row.
update run
   set last_seq = ?1, updated_us = ?2, status = ?8, reason = ?9, priority = ?10,
       generation = ?11, wake_us = ?12, started_us = ?13, ended_us = ?14, recoveries = ?15,
       format = ?16, min_engine = ?17, steps_open = ?18, steps_done = ?19, steps_failed = ?20,
       output = ?21, error = ?22
 where run_no = ?3 and home = ?4 and home_epoch = ?5 and last_seq = ?6
   and exists (select 1 from node where node_id = ?4 and epoch = ?7 and state = 0);

-- tick_release -- Give up the home of a run that this transaction has just advanced.
update run set home = null, home_epoch = home_epoch + 1 where run_no = ?1;

-- tick_create -- Insert a run, if the node is up and the number free.
insert into run (run_no, last_seq, updated_us, home, home_epoch, slot, status, reason, priority,
                 generation, wake_us, started_us, ended_us, recoveries, format, min_engine,
                 steps_open, steps_done, steps_failed, output, error)
select ?3, ?1, ?2, ?23, ?5, ?24, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
       ?21, ?22
 where ?6 = 0 and not exists (select 1 from run where run_no = ?3)
   and exists (select 1 from node where node_id = ?4 and epoch = ?7 and state = 0);

-- tick_start -- Insert what a run was started with.
insert into run_start (run_no, organization, workflow, def_hash, created_us, parent_run,
                       parent_step, forked_from, idempotency_key, request_hash, labels, input)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- tick_label -- Insert one label of a new run.
insert into run_label (name, value, run_no) values (?, ?, ?);

-- tick_listed -- Insert what lists find a new run by.
insert into run_listed (run_no, organization, workflow, status, created_us)
values (?, ?, ?, ?, ?);

-- tick_listed_status -- Let lists find a run by its new status.
update run_listed set status = ?2 where run_no = ?1 and status <> ?2;

-- tick_journal -- Append the events of one run in this tick.
insert into journal (key, n, format, body) values (?, ?, ?, ?);

-- tick_snapshot -- Replace the snapshot of a run.
insert into snapshot (run_no, seq, body) values (?, ?, ?)
    on conflict (run_no) do update set seq = excluded.seq, body = excluded.body;

-- tick_step -- Write the row of a step.
insert or replace into step (key, path, task, kind, status, reason, attempts, started_us,
                             ended_us, wake_us, error)
values (?1 << 24 | ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12);

-- tick_approval -- Write an approval.
insert or replace into approval (approval_no, organization, conversation_id, path, prompt,
                                 payload, payload_hash, status, generation, created_us,
                                 expires_us, decided_us, decided_by, comment, requested_by,
                                 four_eyes, escalated_us, escalated_to, edited, rework)
values (?1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
        ?22);

-- tick_decision -- Record what became of an approval; what was asked stays as it was.
update approval set status = ?2, decided_us = ?3, decided_by = ?4, comment = ?5, edited = ?6,
                    rework = ?7
 where approval_no = ?1;

-- tick_escalation -- Note that somebody else was told of an approval that waits.
update approval set escalated_us = ?2, escalated_to = ?3 where approval_no = ?1;

-- tick_dead_letter -- Park work, or change what became of it: it keeps the time it was parked at.
insert into dead_letter (key, path, reason, created_us, status)
values (?1 << 24 | ?2, ?3, ?4, ?5, ?6)
    on conflict (key) do update
   set status = excluded.status,
       reason = case excluded.status when 'parked' then excluded.reason else reason end,
       created_us = case excluded.status when 'parked' then excluded.created_us
                    else created_us end;

-- tick_consume -- Take a message out of the inbox of its run.
delete from inbox where message_id = ? and run_no = ?;

-- tick_outcome -- Record what became of a message; the first outcome stands.
insert into outcome (message_id, run_no, applied, status, seq, detail, decided_us, word)
values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (message_id) do nothing;

-- post -- Put a message into an inbox, unless its id is there or was there.
insert into inbox (message_id, run_no, body, sent_us)
select ?1, ?2, ?3, ?4
 where not exists (select 1 from outcome where message_id = ?1)
    on conflict (message_id) do nothing;

-- node_is_up -- Check the fence of a node.
select 1 from node where node_id = ? and epoch = ? and state = 0;

-- write_was_applied -- Check whether a write stands already: same epoch, sequence and journal.
select 1 from run
 where run_no = ?1 and last_seq = ?2
   and ((?5 = 0 and home = ?3 and home_epoch = ?4)
     or (?5 = 1 and home is null and home_epoch = ?4 + 1))
   and (?6 is null or exists (select 1 from journal where key = ?6 and n = ?7));

-- key_owner -- Find the run that holds an idempotency key.
select run_no, request_hash from run_start where organization = ? and idempotency_key = ?;

-- reserve_run_numbers -- Move the counter and return its old value.
update store set next_run_no = next_run_no + ?1 where one = 1
returning next_run_no - ?1;

-- clock_floor -- Read the last time that was written down.
select clock_us from store;

-- uid -- Read what no other store has.
select uid from identity;

-- clock_save -- Write the time down, never backwards.
update store set clock_us = ?1 where clock_us < ?1;

-- node_insert -- Add a node that is up.
insert into node (epoch, state, boot_id, pid, host, role, started_us, lease_until_us, machine,
                  lease_until_boot_us)
values (1, 0, ?, ?, ?, ?, ?, ?, ?, ?)
returning node_id;

-- node_renew -- Extend a lease; no row = the node was declared dead.
update node set lease_until_us = ?3, lease_until_boot_us = ?4
 where node_id = ?1 and epoch = ?2 and state = 0;

-- node_end -- Fence a node as dead or gone; no row = it was already.
update node set state = ?3 where node_id = ?1 and epoch = ?2 and state = 0;

-- node_abandon -- Free the runs of a node: open ones are due at once.
update run
   set home = null, home_epoch = home_epoch + 1,
       wake_us = iif(status < 7, ?2, wake_us), recoveries = recoveries + iif(status < 7, ?3, 0)
 where home = ?1;

-- nodes_prune -- Forget nodes that ended long ago.
delete from node where state <> 0 and lease_until_us < ?;

-- nodes_up -- List the nodes that are up by their row.
select node_id, epoch, state, boot_id, pid, host, role, started_us, lease_until_us, machine,
       lease_until_boot_us
  from node where state = 0 order by node_id;

-- priorities_due -- List the priorities that occur among runs that may come due.
with recursive urgency (priority) as (
  select min(priority) from run where home is null and wake_us is not null and status < 7
  union all
  select (select min(priority) from run
           where home is null and wake_us is not null and status < 7
             and priority > urgency.priority)
    from urgency where urgency.priority is not null)
select priority from urgency where priority is not null;

-- adopt_due -- Find homeless open runs of one priority that are due, earliest first.
select run_no, wake_us from run
 where home is null and wake_us is not null and status < 7
   and priority = ?1 and wake_us <= ?2 and format <= ?3 and min_engine <= ?4
 order by wake_us limit ?5;

-- adopt_mail -- Find homeless runs that have mail; one that has ended must answer it, too.
select run_no, priority, min(inbox.sent_us) from inbox cross join run using (run_no)
 where run.home is null and run.format <= ?1 and run.min_engine <= ?2
 group by run_no;

-- adopt_take -- Give a run that nobody else has a home, if the node is up.
update run set home = ?2, home_epoch = home_epoch + 1
 where run_no = ?1 and (home is null or home = ?2) and format <= ?4 and min_engine <= ?5
   and exists (select 1 from node where node_id = ?2 and epoch = ?3 and state = 0);

-- next_wake -- Find the earliest time of one priority.
select min(wake_us) from run
 where home is null and wake_us is not null and status < 7 and priority = ?;

-- outcomes_prune -- Forget old outcomes, a few at a time, oldest first.
delete from outcome
 where key in (select key from outcome order by key limit 2000) and decided_us < ?;

-- unread -- List the mail of runs at home on a node, oldest first.
select inbox.message_id, inbox.run_no, inbox.body, inbox.sent_us
  from inbox cross join run using (run_no)
 where run.home = ?1 order by inbox.key limit ?2;

-- mail -- List the mail of one run, with its place in the queue.
select key, message_id, run_no, body, sent_us from inbox where run_no = ? order by key;

-- outcome -- Read what became of a message.
select message_id, run_no, applied, status, seq, detail, decided_us, word
  from outcome where message_id = ?;

-- run -- Read a run.
select run.run_no, slot, organization, workflow, def_hash, status, reason, priority, generation,
       last_seq, home, home_epoch, wake_us, created_us, started_us, ended_us, updated_us,
       parent_run, parent_step, forked_from, recoveries, format, min_engine, idempotency_key,
       request_hash, steps_open, steps_done, steps_failed, labels, input, output, error
  from run join run_start using (run_no) where run.run_no = ?;

-- run_by_key -- Read the run that an idempotency key belongs to.
select run.run_no, slot, organization, workflow, def_hash, status, reason, priority, generation,
       last_seq, home, home_epoch, wake_us, created_us, started_us, ended_us, updated_us,
       parent_run, parent_step, forked_from, recoveries, format, min_engine, idempotency_key,
       request_hash, steps_open, steps_done, steps_failed, labels, input, output, error
  from run_start cross join run using (run_no)
 where run_start.organization = ?1 and run_start.idempotency_key = ?2;

-- children -- List the child runs of a run, newest first, under the same filter.
select run.run_no, slot, organization, workflow, def_hash, status, reason, priority, generation,
       last_seq, home, home_epoch, wake_us, created_us, started_us, ended_us, updated_us,
       parent_run, parent_step, forked_from, recoveries, format, min_engine, idempotency_key,
       request_hash, steps_open, steps_done, steps_failed, labels, input, output, error
  from run_start cross join run using (run_no)
 where run_start.parent_run = :parent
   and (:before is null or run_start.run_no < :before)
   and (:statuses is null or status in (select value from json_each(:statuses)))
   and (:workflow is null or workflow = :workflow)
   and (:organization is null or organization = :organization)
   and (:created_after is null or created_us > :created_after)
   and (:created_before is null or created_us < :created_before)
   and (:label is null or exists (
         select 1 from run_label
          where name = :label and value = :label_value and run_label.run_no = run.run_no))
 order by run_start.run_no desc limit :limit;

-- snapshot -- Read the snapshot of a run.
select body, seq from snapshot where run_no = ?;

-- journal -- List journal records by key.
select key >> 24, key & 16777215, n, format, body
  from journal where key >= ?1 and key < ?2 order by key limit ?3;

-- journal_record_of -- Find the record that holds an event or comes last before it.
select key, n from journal where key >= ?1 and key <= ?2 order by key desc limit 1;

-- steps -- List the steps of a run after a step number.
select key >> 24, key & 16777215, path, task, kind, status, reason, attempts, started_us,
       ended_us, wake_us, error
  from step where key > ?1 and key < ?2 order by key limit ?3;

-- approval -- Read an approval.
select approval_no, approval_no >> 24, approval_no & 16777215, organization, conversation_id,
       path, prompt, payload, payload_hash, status, generation, created_us, expires_us,
       decided_us, decided_by, comment, requested_by, four_eyes, escalated_us, escalated_to,
       edited, rework
  from approval where approval_no = ?;

-- approvals_pending -- List approvals that wait, oldest first, after one of them.
select approval_no, approval_no >> 24, approval_no & 16777215, organization, conversation_id,
       path, prompt, payload, payload_hash, status, generation, created_us, expires_us,
       decided_us, decided_by, comment, requested_by, four_eyes, escalated_us, escalated_to,
       edited, rework
  from approval
 where status = 0
   and (?1 is null or (created_us, approval_no) >
                      (select created_us, approval_no from approval where approval_no = ?1))
 order by created_us, approval_no limit ?2;

-- approvals_pending_of -- List the approvals of an organization that wait, oldest first.
select approval_no, approval_no >> 24, approval_no & 16777215, organization, conversation_id,
       path, prompt, payload, payload_hash, status, generation, created_us, expires_us,
       decided_us, decided_by, comment, requested_by, four_eyes, escalated_us, escalated_to,
       edited, rework
  from approval
 where status = 0 and organization = ?3
   and (?1 is null or (created_us, approval_no) >
                      (select created_us, approval_no from approval where approval_no = ?1))
 order by created_us, approval_no limit ?2;

-- approvals -- List approvals of all runs or of one, oldest first.
select approval_no, approval_no >> 24, approval_no & 16777215, organization, conversation_id,
       path, prompt, payload, payload_hash, status, generation, created_us, expires_us,
       decided_us, decided_by, comment, requested_by, four_eyes, escalated_us, escalated_to,
       edited, rework
  from approval
 where approval_no >= ?1 and approval_no < ?2 and (?3 = 0 or status = 0)
   and (?4 = '' or organization = ?4)
   and (?5 is null or (created_us, approval_no) >
                      (select created_us, approval_no from approval where approval_no = ?5))
 order by created_us, approval_no limit ?6;

-- dead_letter -- Read what became of one step that was parked.
select key >> 24, key & 16777215, path, reason, created_us, status from dead_letter where key = ?;

-- dead_letters_parked -- List parked work, oldest first, after one of it.
select key >> 24, key & 16777215, path, reason, dead_letter.created_us, status
  from dead_letter
 where status = 'parked'
   and (?2 = '' or exists (select 1 from run_start
                            where run_no = key >> 24 and organization = ?2))
   and (?3 is null or (created_us, key) >
                      (select created_us, key from dead_letter where key = ?3))
 order by created_us, key limit ?4;

-- dead_letters -- List what was parked once, in one status or any, oldest first.
select key >> 24, key & 16777215, path, reason, dead_letter.created_us, status
  from dead_letter
 where (?1 = '' or status = ?1)
   and (?2 = '' or exists (select 1 from run_start
                            where run_no = key >> 24 and organization = ?2))
   and (?3 is null or (created_us, key) >
                      (select created_us, key from dead_letter where key = ?3))
 order by created_us, key limit ?4;

-- definition_insert -- Record a version under the next number of its name.
insert into definition (organization, def_hash, name, number, label, body, created_us)
select ?1, ?2, ?3,
       1 + coalesce((select max(number) from definition where organization = ?1 and name = ?3), 0),
       ?4, ?5, ?6
 where true on conflict (organization, def_hash) do nothing;

-- workflow_activate -- Point a name at a version.
insert into workflow (organization, name, active_hash) values (?, ?, ?)
    on conflict (organization, name) do update set active_hash = excluded.active_hash;

-- definition_of_hash -- Read an organization's version with this hash.
select organization, name, def_hash, label, body, number,
       active_hash is def_hash, created_us
  from definition left join workflow using (organization, name)
 where organization = ?1 and def_hash = ?2;

-- workflow_deactivate -- Let a name point at no version.
delete from workflow where organization = ? and name = ?;

-- definition_by_hash -- Read the version with this hash, whosever it is.
select organization, name, def_hash, label, body, number,
       active_hash is def_hash, created_us
  from definition left join workflow using (organization, name)
 where def_hash = ? order by definition.organization limit 1;

-- definitions_of -- List the versions of a name, newest first.
select organization, name, def_hash, label, body, number,
       active_hash is def_hash, created_us
  from definition left join workflow using (organization, name)
 where organization = ?1 and name = ?2 order by number desc;

-- definition_active -- Read the active version of a name.
select organization, definition.name, def_hash, label, body, number, 1, created_us
  from workflow join definition using (organization)
 where organization = ?1 and workflow.name = ?2 and def_hash = active_hash;

-- definitions_active -- List the active version of every name.
select organization, definition.name, def_hash, label, body, number, 1, created_us
  from workflow join definition using (organization)
 where organization = ? and def_hash = active_hash order by workflow.name;

-- hold_known -- Check whether a hold exists.
select 1 from budget_hold where hold = ? limit 1;

-- hold_change -- Cut a hold that is not settled down to what its call cost.
update budget_hold set state = 2, cost_nano = ?2, tokens = ?3, calls = ?4, time_us = ?5
 where hold = ?1 and state <> 1;

-- hold_before -- Find a hold that an earlier attempt of a step left behind.
select hold from budget_hold
 where run_no = ?1 and step_no = ?2 and attempt < ?3 and state <> 1
 order by attempt, hold limit 1;

-- hold_parts -- Read a hold, account by account.
select account, cost_nano, tokens, calls, time_us,
       not exists (select 1 from node
                    where node.node_id = budget_hold.node_id and node.state = 0)
  from budget_hold where hold = ?;

-- hold_drop -- Give a hold back.
delete from budget_hold where hold = ? and state <> 1;

-- hold_insert -- Set an amount aside in one account.
insert into budget_hold (account, hold, run_no, step_no, attempt, node_id, state, cost_nano,
                         tokens, calls, time_us)
values (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?);

-- hold_settle -- Turn a hold into what its charge cost, also one that is gone.
insert into budget_hold (account, hold, run_no, step_no, attempt, node_id, state, cost_nano,
                         tokens, calls, time_us)
values (?, ?, ?, ?, ?, 0, 1, ?, ?, ?, ?)
    on conflict (account, hold) do update
   set state = 1, cost_nano = excluded.cost_nano, tokens = excluded.tokens,
       calls = excluded.calls, time_us = excluded.time_us;

-- hold_over -- Give back what an attempt did not settle.
delete from budget_hold where run_no = ? and step_no = ? and attempt = ? and state <> 1;

-- holds_of -- Add up the holds of an account by state, and by whether their node is gone.
select state,
       not exists (select 1 from node
                    where node.node_id = budget_hold.node_id and node.state = 0) as is_doubtful,
       sum(cost_nano), sum(tokens), sum(calls), sum(time_us)
  from budget_hold where account = ? group by 1, 2;

-- holds_fold -- Forget the settled holds of an account, which have been added up.
delete from budget_hold where account = ? and state = 1;

-- account -- Read an account.
select cost_nano, tokens, calls, time_us, extra_cost_nano, extra_tokens, extra_calls,
       extra_time_us
  from budget_account where account = ?;

-- account_put -- Write an account as it stands; without limits, those shown stay.
insert into budget_account (account, cost_nano, tokens, calls, time_us, extra_cost_nano,
                            extra_tokens, extra_calls, extra_time_us, limit_cost_nano,
                            limit_tokens, limit_calls, limit_time_us, used_us)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
    on conflict (account) do update
   set cost_nano = ?2, tokens = ?3, calls = ?4, time_us = ?5, extra_cost_nano = ?6,
       extra_tokens = ?7, extra_calls = ?8, extra_time_us = ?9,
       limit_cost_nano = iif(?15, ?10, limit_cost_nano),
       limit_tokens = iif(?15, ?11, limit_tokens),
       limit_calls = iif(?15, ?12, limit_calls),
       limit_time_us = iif(?15, ?13, limit_time_us), used_us = ?14;

-- accounts -- List accounts by the beginning of their names, those used last first.
select account, limit_cost_nano, limit_tokens, limit_calls, limit_time_us
  from budget_account where substr(account, 1, length(?1)) = ?1
 order by used_us desc, account limit ?2;

-- grant_insert -- Record a grant; a known one stays.
insert into budget_grant (grant_id, account, run_no, cost_nano, tokens, calls, time_us,
                          granted_by, at_us)
values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (grant_id) do nothing;

-- grants_of -- Add up what is left of the grants of a run.
select account, sum(cost_nano), sum(tokens), sum(calls), sum(time_us)
  from budget_grant where run_no = ? group by account;

-- grant_use -- Take something out of the grants of a run for an account.
update budget_grant
   set cost_nano = cost_nano - ?3, tokens = tokens - ?4, calls = calls - ?5,
       time_us = time_us - ?6
 where grant_id = (select min(grant_id) from budget_grant where run_no = ?1 and account = ?2);

-- budget_put -- Keep a rule under its name.
insert into budget (name, body) values (?, ?)
    on conflict (name) do update set body = excluded.body;

-- budget_remove -- Forget a rule.
delete from budget where name = ?;

-- budgets -- List the rules by name.
select body from budget order by name;

-- ledger_insert -- Book a charge; its key is booked once.
insert into ledger (key, hold, run_no, step_no, attempt, organization, provider, model, agent,
                    input, cached, cache_write, output, thinking, cost_nano, is_estimated,
                    prices, time_us, at_us)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (key) do nothing;

-- ledger_of -- List what a run and its child runs were billed, oldest first.
with recursive family (run_no) as (
  select ?1
  union all
  select run_start.run_no from family join run_start on run_start.parent_run = family.run_no)
select key, hold, run_no, step_no, attempt, organization, provider, model, agent, input, cached,
       cache_write, output, thinking, cost_nano, is_estimated, prices, time_us, at_us
  from family cross join ledger using (run_no) order by number limit ?2;

-- spending -- Add up what each of these runs has spent, child runs included.
with recursive family (root, run_no) as (
  select value, value from json_each(?1)
  union all
  select family.root, run_start.run_no
    from family join run_start on run_start.parent_run = family.run_no)
select root, sum(cost_nano), sum(input + cached + cache_write + output + thinking), count(*),
       max(is_estimated)
  from family cross join ledger using (run_no) group by root;

-- organizations_listed -- List the organizations that have runs, one seek for each.
with recursive found (organization) as (
  select min(organization) from run_listed
  union all
  select (select min(organization) from run_listed
           where run_listed.organization > found.organization)
    from found where found.organization is not null)
select organization from found where organization is not null;

-- listed_place -- Find where in the order of lists a run stands, or stood.
select created_us, run_no from run_listed where run_no <= ? order by run_no desc limit 1;

-- listed_by_status -- List runs of one status, newest first, from a place on.
select created_us, run_no from run_listed
 where organization = :organization and status = :status and created_us > :after
   and (created_us, run_no) < (:before_us, :before)
   and (:label is null or exists (
         select 1 from run_label
          where name = :label and value = :label_value
            and run_label.run_no = run_listed.run_no))
 order by created_us desc, run_no desc limit :limit;

-- listed_by_workflow -- List runs of one workflow and status, newest first, from a place on.
select created_us, run_no from run_listed
 where organization = :organization and workflow = :workflow and status = :status
   and created_us > :after and (created_us, run_no) < (:before_us, :before)
   and (:label is null or exists (
         select 1 from run_label
          where name = :label and value = :label_value
            and run_label.run_no = run_listed.run_no))
 order by created_us desc, run_no desc limit :limit;

-- label_weight -- Count the runs of a label, up to a limit.
select count(*) from (select 1 from run_label where name = ? and value = ? limit ?);

-- listed_by_label -- List runs of a rare label, newest first; a null parameter does not restrict.
select created_us, run_no from run_label cross join run_listed using (run_no)
 where name = :label and value = :label_value and created_us > :after
   and (created_us, run_no) < (:before_us, :before)
   and (:statuses is null or status in (select value from json_each(:statuses)))
   and (:workflow is null or workflow = :workflow)
   and (:organization is null or organization = :organization)
 order by created_us desc, run_no desc limit :limit;

-- open_counts -- Count the open runs of an organization by workflow and status.
select workflow, status, count(*) from run_listed indexed by run_listed_status
 where organization = ? and status < 7 group by workflow, status;

-- log_insert -- Keep one line that an attempt wrote.
insert into log (run_no, step, attempt, at_us, level, source, text)
values (?, ?, ?, ?, ?, ?, ?);

-- logs -- List the lines of a run after a number, in the order in which they were kept.
select number, run_no, step, attempt, at_us, level, source, text from log
 where run_no = ?1 and number > ?2 and (?3 = '' or step = ?3) order by number limit ?4;

-- logs_prune -- Forget old lines, a few at a time, oldest first.
delete from log where number in (select number from log where at_us < ?1 order by at_us limit ?2);

-- runs_past -- Find runs of one closed status that were created and ended before a time.
select run_no from run_listed cross join run using (run_no)
 where organization = ?1 and run_listed.status = ?2 and created_us < ?3 and ended_us < ?3
   and home is null
   and not exists (select 1 from run_start as started join run as parent
                    on parent.run_no = started.parent_run
                   where started.run_no = run_listed.run_no and parent.status < 7)
 order by created_us, run_listed.run_no limit ?4;

-- run_forget -- Note that what belonged to a run is to be taken away.
insert into run_forgotten (run_no) values (?) on conflict do nothing;

-- run_delete -- Take a closed run out that nobody holds.
delete from run where run_no = ? and status >= 7 and home is null;

-- run_start_delete -- Forget what a run was started with; its idempotency key is free again.
delete from run_start where run_no = ?;

-- run_listed_delete -- Take a run out of lists.
delete from run_listed where run_no = ?;

-- run_labels_delete -- Take the labels of a run out.
delete from run_label
 where (name, value, run_no) in (
   select key, json_each.value, run_no from run_start, json_each(labels) where run_no = ?);

-- forgotten -- Find a run whose remains are to be taken away.
select run_no from run_forgotten order by run_no limit 1;

-- forgotten_journal -- Take some of a run's journal away.
delete from journal where key in (
  select key from journal where key >= ?1 and key < ?2 limit ?3);

-- forgotten_steps -- Take some of a run's steps away.
delete from step where key in (select key from step where key >= ?1 and key < ?2 limit ?3);

-- forgotten_logs -- Take some of a run's log away.
delete from log where number in (select number from log where run_no = ?1 limit ?2);

-- forgotten_snapshot -- Take a run's snapshot away.
delete from snapshot where run_no = ?;

-- forgotten_approvals -- Take a run's approvals away.
delete from approval where approval_no >= ?1 and approval_no < ?2;

-- forgotten_letters -- Take a run's dead letters away.
delete from dead_letter where key >= ?1 and key < ?2;

-- forgotten_mail -- Take away what was sent to a run and never read.
delete from inbox where run_no = ?;

-- forgotten_grants -- Take away what was granted to a run.
delete from budget_grant where run_no = ?;

-- forgotten_done -- Note that nothing of a run is left.
delete from run_forgotten where run_no = ?;

-- tick_feed -- Note which runs a tick advanced, if anybody reads the feed.
insert into feed (runs) select ?1 where exists (select 1 from feed_reader where one = 1);

-- feed_open -- Keep the feed from now on; nothing was told of before.
insert into feed_reader (one, told_until) select 1, coalesce(max(no), 0) from feed where true
    on conflict (one) do nothing;

-- feed_ends -- Read the ends of the feed, and whether it is kept.
select coalesce((select min(no) from feed), 1) - 1, coalesce((select max(no) from feed), 0),
       exists (select 1 from feed_reader);

-- feed -- List ticks after a number.
select no, runs from feed where no > ? order by no limit ?;

-- feed_record -- Read the journal record of a tick.
select key >> 24, key & 16777215, n, format, body from journal where key = ?;

-- feed_prune -- Forget the oldest ticks but the newest one, and none that is still to be told.
delete from feed
 where no in (select no from feed where no < ?1 order by no limit 5000)
   and no < (select max(no) from feed)
   and (no <= (select told_until from feed_reader)
     or not exists (select 1 from webhook where direction = 'out' and is_active));

-- last_seq -- Read how far a run has come.
select last_seq from run where run_no = ?;

-- webhook_put -- Make a webhook, or replace it; what it hears of is decided when it is made.
insert into webhook (webhook_id, organization, direction, url, events, workflow, signal, pointer,
                     secrets, description, is_active, reason, since_no, created_us)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
        (select coalesce(max(no), 0) from feed), ?13)
    on conflict (webhook_id) do update
   set url = ?4, events = ?5, workflow = ?6, signal = ?7, pointer = ?8, secrets = ?9,
       description = ?10, is_active = ?11, reason = ?12;

-- webhook_catch_up -- Move to the end of the feed when nobody else was to be told of it.
update feed_reader set told_until = (select coalesce(max(no), 0) from feed)
 where not exists (select 1 from webhook where direction = 'out' and is_active);

-- webhook_switch_off -- Switch a webhook off; no row = it was off or is gone.
update webhook set is_active = 0, reason = ?2 where webhook_id = ?1 and is_active;

-- webhook_park -- Give up what a webhook was still to be told.
update webhook_delivery set status = 'dead', ended_us = ?2, lease_until_us = null, detail = ?3
 where webhook_id = ?1 and status = 'pending';

-- webhook_remove -- Forget a webhook.
delete from webhook where webhook_id = ?;

-- webhook_remove_deliveries -- Forget its deliveries.
delete from webhook_delivery where webhook_id = ?;

-- webhook -- Read a webhook.
select webhook_id, organization, direction, url, events, workflow, signal, pointer, secrets,
       description, is_active, reason, since_no, created_us
  from webhook where webhook_id = ?;

-- webhooks -- List the webhooks of an organization, or of all.
select webhook_id, organization, direction, url, events, workflow, signal, pointer, secrets,
       description, is_active, reason, since_no, created_us
  from webhook where ?1 = '' or organization = ?1 order by webhook_id;

-- told_until -- Read how far webhooks were told.
select told_until from feed_reader;

-- webhook_told -- Move on; no row = another process was faster.
update feed_reader set told_until = ?2 where told_until = ?1;

-- delivery_insert -- Add a delivery of a webhook that is active, once.
insert into webhook_delivery (webhook_id, message_id, event_type, body, status, attempts, due_us,
                              created_us, code, detail)
select ?1, ?2, ?3, ?4, 'pending', 0, ?5, ?6, 0, ''
 where exists (select 1 from webhook where webhook_id = ?1 and is_active)
    on conflict (webhook_id, message_id) do nothing;

-- deliveries_due -- List deliveries that are due, or whose lease has ended.
select delivery_no from webhook_delivery
 where status = 'pending' and coalesce(lease_until_us, due_us) <= ?1
   and webhook_id not in (select value from json_each(?2))
 order by coalesce(lease_until_us, due_us) limit ?3;

-- delivery_claim -- Begin an attempt under a lease.
update webhook_delivery set lease_until_us = ?2, attempts = attempts + 1 where delivery_no = ?1
returning delivery_no, webhook_id, message_id, event_type, body, status, attempts, due_us,
          lease_until_us, created_us, ended_us, code, detail;

-- delivery_settle -- Record what became of an attempt; no row = the lease was lost.
update webhook_delivery
   set status = ?3, due_us = ?4, ended_us = ?5, code = ?6, detail = ?7, lease_until_us = null
 where delivery_no = ?1 and attempts = ?2 and status = 'pending' and lease_until_us = ?8;

-- next_delivery -- Find when something is to be done.
select min(coalesce(lease_until_us, due_us)) from webhook_delivery where status = 'pending';

-- deliveries_of -- List the deliveries of a webhook, newest first.
select delivery_no, webhook_id, message_id, event_type, body, status, attempts, due_us,
       lease_until_us, created_us, ended_us, code, detail
  from webhook_delivery
 where webhook_id = ?1 and delivery_no < ?2 and (?3 = '' or status = ?3)
 order by delivery_no desc limit ?4;

-- delivery_replay -- Make one delivery due again, from the first attempt on.
update webhook_delivery
   set status = 'pending', attempts = 0, due_us = ?3, lease_until_us = null, ended_us = null
 where webhook_id = ?1 and delivery_no = ?2;

-- deliveries_replay -- Make the dead deliveries made since a time due again.
update webhook_delivery
   set status = 'pending', attempts = 0, due_us = ?3, lease_until_us = null, ended_us = null
 where webhook_id = ?1 and status = 'dead' and created_us >= ?2;

-- deliveries_prune -- Forget deliveries that arrived long ago, a few at a time.
delete from webhook_delivery
 where delivery_no in (
         select delivery_no from webhook_delivery
          where status = 'delivered' and ended_us < ? order by ended_us limit 2000);

-- organization_insert -- Add an organization; a known one stays.
insert into organization (slug, title, created_us) values (?, ?, ?) on conflict (slug) do nothing;

-- organizations -- List the organizations.
select slug, title, created_us from organization order by slug;

-- key_insert -- Add a key under the next version; a known hash changes nothing.
insert into api_key (key_id, organization, role, name, hash, hint, created_us, created_by,
                     expires_us, last_used_us, revoked_us, revoked_by, successor, version)
select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
       1 + coalesce((select max(version) from api_key), 0)
 where ?14 >= 0 on conflict do nothing;

-- key_retire -- Let a key that has a successor live on for a while.
update api_key
   set successor = ?2, expires_us = min(coalesce(expires_us, ?3), ?3),
       version = 1 + (select max(version) from api_key)
 where key_id = ?1 and revoked_us is null and successor = '';

-- key_revoke -- End a key for good.
update api_key
   set revoked_us = ?2, revoked_by = ?3, version = 1 + (select max(version) from api_key)
 where key_id = ?1 and revoked_us is null;

-- key_touch -- Note when a key was last used.
update api_key set last_used_us = max(coalesce(last_used_us, ?2), ?2) where key_id = ?1;

-- key -- Read a key.
select key_id, organization, role, name, hash, hint, created_us, created_by, expires_us,
       last_used_us, revoked_us, revoked_by, successor, version
  from api_key where key_id = ?;

-- keys -- List the keys of an organization, or of all, by id.
select key_id, organization, role, name, hash, hint, created_us, created_by, expires_us,
       last_used_us, revoked_us, revoked_by, successor, version
  from api_key where (?1 = '' or organization = ?1) and key_id > ?2 order by key_id limit ?3;

-- keys_changed -- List the keys that changed after a version, in order.
select key_id, organization, role, name, hash, hint, created_us, created_by, expires_us,
       last_used_us, revoked_us, revoked_by, successor, version
  from api_key where version > ? order by version;

-- audit_append -- Add a row to a chain.
insert into audit (organization, at_us, actor, action, subject, via, key_id, request_id, detail,
                   seq, hash)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- audit_head_put -- Note where a chain ends.
insert into audit_head (organization, seq, hash) values (?, ?, ?)
    on conflict (organization) do update set seq = excluded.seq, hash = excluded.hash;

-- audit_head -- Read where a chain ends.
select seq, hash from audit_head where organization = ?;

-- audited -- List the organizations that have a chain.
select organization from audit_head order by organization;

-- audit -- List the rows of a chain, oldest first.
select organization, at_us, actor, action, subject, via, key_id, request_id, detail, seq, hash
  from audit where organization = ?1 and seq > ?2 order by seq limit ?3;

-- audit_latest -- List the rows of a chain, newest first.
select organization, at_us, actor, action, subject, via, key_id, request_id, detail, seq, hash
  from audit where organization = ?1 and seq < ?2 order by seq desc limit ?3;

-- schedule_add -- Add a schedule under the next number, unless its name is taken.
insert into schedule (organization, name, status, revision, cursor_us, next_us, held_us, starts,
                      body, created_us, updated_us, changed_by, comment, failures, error)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (organization, name) do nothing
returning schedule_no;

-- schedule_change -- Change a schedule that still is at the revision the change was decided on.
update schedule
   set status = ?3, revision = revision + 1, cursor_us = ?4, next_us = ?5, held_us = ?6,
       starts = ?7, body = ?8, updated_us = ?9, changed_by = ?10, comment = ?11, failures = ?12,
       error = ?13
 where schedule_no = ?1 and revision = ?2;

-- schedule_is_at -- Check whether a schedule is at a revision.
select 1 from schedule where schedule_no = ? and revision = ?;

-- schedule_remove -- Forget a schedule.
delete from schedule where schedule_no = ?;

-- schedule_ticks_remove -- Forget the ticks of a schedule.
delete from schedule_tick where schedule_no = ?;

-- schedule -- Read a schedule.
select schedule_no, organization, name, status, revision, cursor_us, next_us, held_us, starts,
       body, created_us, updated_us, changed_by, comment, failures, error
  from schedule where schedule_no = ?;

-- schedule_named -- Read the schedule of a name.
select schedule_no, organization, name, status, revision, cursor_us, next_us, held_us, starts,
       body, created_us, updated_us, changed_by, comment, failures, error
  from schedule where organization = ? and name = ?;

-- schedules -- List schedules by number, of one organization or of all.
select schedule_no, organization, name, status, revision, cursor_us, next_us, held_us, starts,
       body, created_us, updated_us, changed_by, comment, failures, error
  from schedule
 where schedule_no > ?2 and (?1 = '' or organization = ?1) order by schedule_no limit ?3;

-- schedules_due -- List active schedules that are due, longest due first.
select schedule_no, organization, name, status, revision, cursor_us, next_us, held_us, starts,
       body, created_us, updated_us, changed_by, comment, failures, error
  from schedule
 where status = 0 and next_us is not null and next_us <= ?1 order by next_us limit ?2;

-- schedules_ready -- List schedules that hold a tick while none of their runs is open.
select schedule_no, organization, name, status, revision, cursor_us, next_us, held_us, starts,
       body, created_us, updated_us, changed_by, comment, failures, error
  from schedule
 where held_us is not null
   and not exists (select 1 from schedule_tick join run using (run_no)
                    where schedule_tick.schedule_no = schedule.schedule_no
                      and is_open = 1 and run.status < 7)
 order by held_us limit ?;

-- schedules_holding -- List schedules that hold a tick, longest held first.
select schedule_no, organization, name, status, revision, cursor_us, next_us, held_us, starts,
       body, created_us, updated_us, changed_by, comment, failures, error
  from schedule where held_us is not null order by held_us limit ?;

-- schedule_counts -- Count schedules, of one organization or of all.
select count(*) filter (where status = 0), count(*) filter (where status = 1),
       count(*) filter (where status = 2), count(*) filter (where failures > 0 and status <> 2),
       count(held_us), min(next_us) filter (where status = 0 and next_us < ?1)
  from schedule where ?2 = '' or organization = ?2;

-- schedule_next -- Find when the next active schedule is due after a time.
select next_us from schedule
 where status = 0 and next_us is not null and next_us > ? order by next_us limit 1;

-- schedule_tick_put -- Write what became of a tick.
insert into schedule_tick (schedule_no, tick_us, outcome, kind, run_no, is_open, at_us, detail)
values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (schedule_no, tick_us) do update
   set outcome = excluded.outcome, kind = excluded.kind, run_no = excluded.run_no,
       is_open = excluded.is_open, at_us = excluded.at_us, detail = excluded.detail;

-- schedule_ticks_close -- Stop asking whether the ended runs of a schedule are open.
update schedule_tick set is_open = 0
 where schedule_no = ? and is_open = 1
   and not exists (select 1 from run
                    where run.run_no = schedule_tick.run_no and run.status < 7);

-- schedule_ticks_prune -- Forget the oldest ticks of a schedule beyond a number, open ones not.
delete from schedule_tick
 where schedule_no = ?1 and is_open = 0
   and tick_us < (select tick_us from schedule_tick
                   where schedule_no = ?1 order by tick_us desc limit 1 offset ?2);

-- schedule_ticks -- List the ticks of a schedule before a time, newest first.
select tick_us, outcome, kind, run_no, at_us, detail
  from schedule_tick where schedule_no = ?1 and tick_us < ?2 order by tick_us desc limit ?3;

-- schedule_tick -- Read what became of a tick.
select tick_us, outcome, kind, run_no, at_us, detail
  from schedule_tick where schedule_no = ? and tick_us = ?;

-- schedule_runs -- List the open runs of a schedule, oldest tick first.
select run_no from schedule_tick
 where schedule_no = ? and is_open = 1
   and exists (select 1 from run where run.run_no = schedule_tick.run_no and run.status < 7)
 order by tick_us;
