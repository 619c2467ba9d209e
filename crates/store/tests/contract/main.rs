//! What every store has to hold, run against each of them: see `cases.rs`. etcd is the program that
//! `STORE_TEST_ETCD` names, or the one on PATH; without one its tests are skipped, saying so.

mod bed;
mod cases;
mod etcd;
mod etcd_faults;
mod followers;
mod member;
mod memory;
mod memory_faults;
