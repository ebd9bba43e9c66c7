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
                                 expires_us, decided_us, decided_by, comment)
values (?1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16);

-- tick_decision -- Record what became of an approval; what was asked stays as it was.
update approval set status = ?2, decided_us = ?3, decided_by = ?4, comment = ?5
 where approval_no = ?1;

-- tick_dead_letter -- Park work, or change what became of it.
insert or replace into dead_letter (key, path, reason, created_us, status)
values (?1 << 24 | ?2, ?3, ?4, ?5, ?6);

-- tick_consume -- Take a message out of the inbox of its run.
delete from inbox where message_id = ? and run_no = ?;

-- tick_outcome -- Record what became of a message; the first outcome stands.
insert into outcome (message_id, run_no, applied, status, seq, detail, decided_us)
values (?, ?, ?, ?, ?, ?, ?) on conflict (message_id) do nothing;

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
select message_id, run_no, applied, status, seq, detail, decided_us
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

-- runs -- List runs, newest first; a null parameter does not restrict.
select run.run_no, slot, organization, workflow, def_hash, status, reason, priority, generation,
       last_seq, home, home_epoch, wake_us, created_us, started_us, ended_us, updated_us,
       parent_run, parent_step, forked_from, recoveries, format, min_engine, idempotency_key,
       request_hash, steps_open, steps_done, steps_failed, labels, input, output, error
  from run cross join run_start using (run_no)
 where (:before is null or run.run_no < :before)
   and (:statuses is null or status in (select value from json_each(:statuses)))
   and (:workflow is null or workflow = :workflow)
   and (:organization is null or organization = :organization)
   and (:created_after is null or created_us > :created_after)
   and (:created_before is null or created_us < :created_before)
   and (:label is null or exists (
         select 1 from run_label
          where name = :label and value = :label_value and run_label.run_no = run.run_no))
 order by run.run_no desc limit :limit;

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
       decided_us, decided_by, comment
  from approval where approval_no = ?;

-- approvals_pending -- List approvals that wait, oldest first.
select approval_no, approval_no >> 24, approval_no & 16777215, organization, conversation_id,
       path, prompt, payload, payload_hash, status, generation, created_us, expires_us,
       decided_us, decided_by, comment
  from approval where status = 0 order by created_us, approval_no limit ?;

-- approvals -- List approvals of all runs or of one, oldest first.
select approval_no, approval_no >> 24, approval_no & 16777215, organization, conversation_id,
       path, prompt, payload, payload_hash, status, generation, created_us, expires_us,
       decided_us, decided_by, comment
  from approval
 where approval_no >= ?1 and approval_no < ?2 and (?3 = 0 or status = 0)
 order by created_us, approval_no limit ?4;

-- dead_letters -- List parked work, oldest first.
select key >> 24, key & 16777215, path, reason, created_us, status
  from dead_letter where status = 'parked' order by created_us, key limit ?;

-- definition_insert -- Record a version under the next number of its name.
insert into definition (def_hash, name, number, label, body, created_us)
select ?1, ?2, 1 + coalesce((select max(number) from definition where name = ?2), 0), ?3, ?4, ?5
 where true on conflict (def_hash) do nothing;

-- workflow_activate -- Point a name at a version.
insert into workflow (name, active_hash) values (?, ?)
    on conflict (name) do update set active_hash = excluded.active_hash;

-- definition_by_hash -- Read the version with this hash.
select definition.name, def_hash, label, body, number, active_hash is not null, created_us
  from definition left join workflow on active_hash = def_hash and workflow.name = definition.name
 where def_hash = ?;

-- definitions_of -- List the versions of a name, newest first.
select definition.name, def_hash, label, body, number, active_hash is not null, created_us
  from definition left join workflow on active_hash = def_hash and workflow.name = definition.name
 where definition.name = ? order by number desc;

-- definition_active -- Read the active version of a name.
select definition.name, def_hash, label, body, number, 1, created_us
  from workflow join definition on def_hash = active_hash where workflow.name = ?;

-- definitions_active -- List the active version of every name.
select definition.name, def_hash, label, body, number, 1, created_us
  from workflow join definition on def_hash = active_hash order by workflow.name;

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
