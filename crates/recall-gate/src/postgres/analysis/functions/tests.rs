use super::*;

#[test]
fn no_name_is_in_two_lists() {
    assert!(ACTING.is_sorted());
    for name in READ_ONLY.iter() {
        assert!(!acts(name) && !denied(name), "{name}");
    }
    assert!(!ACTING.iter().any(|name| denied(name)));
    assert!(READ_ONLY.len() > 1600 && BUILT_IN_TYPES.len() > 70);
}

#[test]
fn what_acts_or_reads_elsewhere_is_not_in_the_list_of_what_only_reads() {
    let others = [
        "nextval",
        "setval",
        "set_config",
        "pg_sleep",
        "pg_notify",
        "lo_get",
        "loread",
        "lo_put",
        "query_to_xml",
        "table_to_xml",
        "cursor_to_xml",
        "database_to_xml",
        "ts_stat",
        "ts_rewrite",
        "pg_read_file",
        "pg_ls_dir",
        "pg_stat_get_activity",
        "pg_show_all_settings",
        "txid_current",
        "pg_options_to_table",
        "pg_hba_file_rules",
        "pg_advisory_lock",
        "pg_logical_emit_message",
        "dblink",
    ];
    for name in others {
        assert!(!reads_only(name), "{name}");
    }
    for name in
        ["count", "lower", "now", "random", "jsonb_agg", "row_number", "current_setting", "extract", "timezone", "btrim", "gen_random_uuid"]
    {
        assert!(reads_only(name), "{name}");
    }
}

#[test]
fn names_of_denied_functions_are_met_by_their_beginning() {
    for name in ["dblink", "dblink_connect_u", "pg_read_binary_file", "pg_ls_waldir", "lo_import", "pg_create_logical_replication_slot"] {
        assert!(denied(name), "{name}");
    }
    for name in ["pg_relation_size", "lo_get", "read_file", "db_link", "lower"] {
        assert!(!denied(name), "{name}");
    }
}
