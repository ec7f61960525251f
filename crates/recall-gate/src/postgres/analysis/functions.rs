//! Names of what PostgreSQL brings itself, by what a call of it can do.
//!
//! Owns the lists; it must not know the statement that names them.

use std::collections::HashSet;
use std::sync::LazyLock;

fn words(list: &'static str) -> HashSet<&'static str> {
    list.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).collect()
}

static READ_ONLY: LazyLock<HashSet<&str>> = LazyLock::new(|| words(include_str!("read_only_functions.txt")));
static BUILT_IN_TYPES: LazyLock<HashSet<&str>> = LazyLock::new(|| words(include_str!("built_in_types.txt")));

/// What they do is known and touches no table, but they do something: move a sequence, wait, send, lock, set, end another session.
const ACTING: &[&str] = &[
    "nextval",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_cancel_backend",
    "pg_current_xact_id",
    "pg_notify",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_terminate_backend",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "set_config",
    "setseed",
    "setval",
    "txid_current",
];

/// Reaches files, other servers, the write-ahead log or its slots: denied in whichever schema it is.
const DENIED: &[&str] = &["lo_export", "lo_import", "pg_current_logfile", "pg_promote", "pg_reload_conf", "pg_stat_file", "pg_switch_wal"];
const DENIED_BEGINNINGS: &[&str] = &[
    "binary_upgrade_",
    "dblink",
    "pg_backup_",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_create_",
    "pg_drop_replication_slot",
    "pg_file_",
    "pg_logdir_",
    "pg_logical_",
    "pg_ls_",
    "pg_read_",
    "pg_replication_",
    "pg_rotate_logfile",
    "pg_logfile_rotate",
    "pg_start_backup",
    "pg_stop_backup",
    "pg_sync_replication_slots",
    "pg_wal_replay_",
    "postgres_fdw_",
];

/// A call changes nothing and reads no table.
pub fn reads_only(name: &str) -> bool {
    READ_ONLY.contains(name)
}

/// A call does something, but runs no code that the text hides.
pub(super) fn acts(name: &str) -> bool {
    ACTING.binary_search(&name).is_ok()
}

/// A call is denied whoever asks.
pub(super) fn denied(name: &str) -> bool {
    DENIED.contains(&name) || DENIED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// The type's input runs nobody's code.
pub(super) fn built_in_type(name: &str) -> bool {
    BUILT_IN_TYPES.contains(name)
}

#[cfg(test)]
mod tests;
