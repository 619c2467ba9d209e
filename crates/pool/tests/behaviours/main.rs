//! The pool's promises one by one: each file is named after the behaviour it shows.

mod a_busy_tenant_is_not_idle;
mod a_ready_tenant_stays_for_a_while;
mod a_refused_eviction_is_not_taken_as_room;
mod a_respawn_of_a_stranded_key_queues_for_room;
mod a_running_process_can_be_adopted;
mod a_snapshot_comes_back_ready;
mod a_start_that_is_called_off_is_told_as_such;
mod an_aborted_call_is_not_answered;
mod an_idle_tenant_is_asked_about;
mod an_idle_tenant_is_saved;
mod an_open_connection_is_activity;
mod dispose_names_each_process_once;
mod dispose_rejects_what_waits;
mod dispose_stops_in_a_fixed_order;
mod drain_lets_go_on_what_runs;
mod endless_times_do_not_overflow;
mod every_key_has_a_status;
mod kill_cancels_the_respawn;
mod only_what_ensure_refuses_counts_as_backing_off;
mod restart_shares_one_respawn;
mod somebody_has_the_last_word;
mod strangers_cannot_fill_the_queue;
mod support;
mod the_first_cause_wins;
mod the_gate_is_fair;
mod the_window_holds_while_a_process_cannot_be_ended;
