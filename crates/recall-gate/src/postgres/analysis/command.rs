//! A statement as a whole: what it is called, what it does to data, and what it does to the session.
//!
//! Owns the words of commands. It must not know how the parts of a statement are found: [`super::survey`] does.

use std::borrow::Cow;

use pg_query::NodeEnum;
use pg_query::protobuf as pb;

use super::survey::{Survey, text};
use super::tree::Walk;
use super::{Op, Setting, Statement, Transaction, Value};

/// Analyses one statement of a text of this many bytes.
pub(super) fn statement(raw: &pb::RawStmt, text_bytes: usize) -> Statement {
    let start = usize::try_from(raw.stmt_location).unwrap_or_default().min(text_bytes);
    let length = usize::try_from(raw.stmt_len).unwrap_or_default();
    let end = if length == 0 { text_bytes } else { start.saturating_add(length).min(text_bytes) };
    let Some(node) = raw.stmt.as_ref().and_then(|stmt| stmt.node.as_ref()) else { return not_a_statement(start..end) };
    let mut survey = Survey::new(defines(node));
    node.walk(&mut survey);
    Statement {
        span: start..end,
        command: command(node),
        op: op(node, survey.change),
        relations: survey.relations(),
        columns: survey.columns(),
        functions: survey.functions(),
        read_only: reads(node) && !survey.acts,
        opaque: survey.opaque,
        denied: survey.denied,
        settings: settings(node, std::mem::take(&mut survey.settings)),
        transaction: transaction(node),
        handle: handle(node),
    }
}

/// The parser gives every statement a node; were there none, nothing would be known of it.
fn not_a_statement(span: std::ops::Range<usize>) -> Statement {
    Statement {
        span,
        command: Cow::Borrowed("UNKNOWN"),
        op: Op::Execute,
        relations: Vec::new(),
        columns: Vec::new(),
        functions: Vec::new(),
        read_only: false,
        opaque: true,
        denied: None,
        settings: Vec::new(),
        transaction: None,
        handle: None,
    }
}

fn inner(node: &Option<Box<pb::Node>>) -> Option<&NodeEnum> {
    node.as_ref().and_then(|node| node.node.as_ref())
}

/// Kinds of statement that change nothing by themselves, whatever their parts do.
fn reads(node: &NodeEnum) -> bool {
    use pb::TransactionStmtKind as Kind;
    match node {
        NodeEnum::SelectStmt(_) | NodeEnum::VariableShowStmt(_) | NodeEnum::ClosePortalStmt(_) | NodeEnum::DeallocateStmt(_) => true,
        NodeEnum::CopyStmt(copy) => !copy.is_from,
        NodeEnum::ExplainStmt(explain) => inner(&explain.query).is_some_and(reads),
        NodeEnum::PrepareStmt(prepare) => inner(&prepare.query).is_some_and(reads),
        NodeEnum::DeclareCursorStmt(declare) => inner(&declare.query).is_some_and(reads),
        NodeEnum::TransactionStmt(transaction) => matches!(
            transaction.kind(),
            Kind::TransStmtBegin
                | Kind::TransStmtStart
                | Kind::TransStmtCommit
                | Kind::TransStmtRollback
                | Kind::TransStmtSavepoint
                | Kind::TransStmtRelease
                | Kind::TransStmtRollbackTo
        ),
        _ => false,
    }
}

/// Relations that the statement names outside queries are changed by it: all but those that use, lock or look after them.
fn defines(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::ExplainStmt(explain) => inner(&explain.query).is_some_and(defines),
        NodeEnum::SelectStmt(_)
        | NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::MergeStmt(_)
        | NodeEnum::CopyStmt(_)
        | NodeEnum::PrepareStmt(_)
        | NodeEnum::DeclareCursorStmt(_)
        | NodeEnum::LockStmt(_)
        | NodeEnum::VacuumStmt(_) => false,
        _ => true,
    }
}

/// `EXPLAIN` runs the statement if any option says so and none of the ways to say no is written.
fn runs(explain: &pb::ExplainStmt) -> bool {
    explain.options.iter().any(|option| match &option.node {
        Some(NodeEnum::DefElem(option)) if option.defname == "analyze" => match inner(&option.arg) {
            Some(NodeEnum::String(value)) => !["false", "off", "0"].contains(&value.sval.as_str()),
            Some(NodeEnum::Integer(value)) => value.ival != 0,
            Some(NodeEnum::Boolean(value)) => value.boolval,
            _ => true,
        },
        _ => false,
    })
}

fn op(node: &NodeEnum, change: Option<Op>) -> Op {
    match node {
        NodeEnum::TruncateStmt(_) => Op::Delete,
        NodeEnum::MergeStmt(_) => change.unwrap_or(Op::Update),
        NodeEnum::SelectStmt(_) | NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::CopyStmt(_) => {
            change.unwrap_or(Op::Read)
        }
        NodeEnum::ExplainStmt(explain) => match inner(&explain.query) {
            Some(query) if runs(explain) => op(query, change),
            _ => Op::Read,
        },
        NodeEnum::VariableShowStmt(_) | NodeEnum::DeclareCursorStmt(_) | NodeEnum::FetchStmt(_) => Op::Read,
        _ => Op::Execute,
    }
}

fn transaction(node: &NodeEnum) -> Option<Transaction> {
    use pb::TransactionStmtKind as Kind;
    let NodeEnum::TransactionStmt(statement) = node else { return None };
    let savepoint = || statement.savepoint_name.clone();
    Some(match statement.kind() {
        Kind::TransStmtBegin | Kind::TransStmtStart => Transaction::Begin,
        Kind::TransStmtCommit => Transaction::Commit { chain: statement.chain },
        Kind::TransStmtRollback => Transaction::Rollback { chain: statement.chain },
        Kind::TransStmtSavepoint => Transaction::Savepoint(savepoint()),
        Kind::TransStmtRelease => Transaction::Release(savepoint()),
        Kind::TransStmtRollbackTo => Transaction::RollbackTo(savepoint()),
        Kind::TransStmtPrepare => Transaction::Prepare,
        Kind::TransStmtCommitPrepared => Transaction::CommitPrepared,
        Kind::TransStmtRollbackPrepared => Transaction::RollbackPrepared,
        Kind::Undefined => return None,
    })
}

fn handle(node: &NodeEnum) -> Option<String> {
    let name = match node {
        NodeEnum::PrepareStmt(prepare) => &prepare.name,
        NodeEnum::ExecuteStmt(execute) => &execute.name,
        NodeEnum::DeallocateStmt(deallocate) => &deallocate.name,
        NodeEnum::DeclareCursorStmt(declare) => &declare.portalname,
        NodeEnum::FetchStmt(fetch) => &fetch.portalname,
        NodeEnum::ClosePortalStmt(close) => &close.portalname,
        NodeEnum::ExplainStmt(explain) => return inner(&explain.query).and_then(handle),
        _ => return None,
    };
    (!name.is_empty()).then(|| name.clone())
}

/// What happens to settings; `calls` are those through `set_config`, which are certain only where nothing stands around them.
fn settings(node: &NodeEnum, calls: Vec<Setting>) -> Vec<Setting> {
    use pb::VariableSetKind as Kind;
    let named = |name: &str, value, local| Setting { name: Some(name.to_ascii_lowercase()), value, local };
    match node {
        NodeEnum::VariableSetStmt(set) => match set.kind() {
            Kind::VarSetValue => vec![named(&set.name, values(&set.args), set.is_local)],
            Kind::VarSetDefault | Kind::VarReset => vec![named(&set.name, Value::Default, set.is_local)],
            Kind::VarResetAll => vec![Setting { name: None, value: Value::Default, local: false }],
            // SET TRANSACTION and its like, whose settings end with the transaction.
            Kind::VarSetMulti | Kind::VarSetCurrent | Kind::Undefined => vec![named(&set.name, Value::Unknown, set.is_local)],
        },
        NodeEnum::DiscardStmt(discard) if discard.target() == pb::DiscardMode::DiscardAll => {
            vec![Setting { name: None, value: Value::Default, local: false }]
        }
        NodeEnum::SelectStmt(select) if !calls.is_empty() => {
            plain_calls(select).filter(|plain| plain.len() == calls.len()).unwrap_or(calls)
        }
        _ => calls,
    }
}

fn values(args: &[pb::Node]) -> Value {
    let value = |arg: &pb::Node| match arg.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            pb::a_const::Val::Sval(string) => Some(string.sval.clone()),
            pb::a_const::Val::Ival(integer) => Some(integer.ival.to_string()),
            pb::a_const::Val::Fval(float) => Some(float.fval.clone()),
            _ => None,
        },
        _ => None,
    };
    args.iter().map(value).collect::<Option<Vec<_>>>().map_or(Value::Unknown, Value::Texts)
}

/// `SELECT set_config('name', 'value', false), ...` and nothing else.
fn plain_calls(select: &pb::SelectStmt) -> Option<Vec<Setting>> {
    let pb::SelectStmt {
        distinct_clause,
        into_clause,
        target_list,
        from_clause,
        where_clause,
        group_clause,
        group_distinct: _,
        having_clause,
        window_clause,
        values_lists,
        sort_clause,
        limit_offset,
        limit_count,
        limit_option: _,
        locking_clause,
        with_clause,
        op: _,
        all: _,
        larg,
        rarg,
    } = select;
    let lists = [distinct_clause, from_clause, group_clause, window_clause, values_lists, sort_clause, locking_clause];
    let conditions = [where_clause, having_clause, limit_offset, limit_count];
    let more = into_clause.is_some() || with_clause.is_some() || larg.is_some() || rarg.is_some();
    if more || lists.iter().any(|list| !list.is_empty()) || conditions.iter().any(|condition| condition.is_some()) {
        return None;
    }
    let call = |target: &pb::Node| {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
        let Some(NodeEnum::FuncCall(call)) = inner(&target.val) else { return None };
        let [name, value, local] = call.args.as_slice() else { return None };
        let Some(NodeEnum::AConst(local)) = &local.node else { return None };
        let Some(pb::a_const::Val::Boolval(local)) = &local.val else { return None };
        let (name, value) = (text(name)?, text(value)?);
        let set = call.funcname.last().and_then(text) == Some("set_config");
        set.then(|| Setting { name: Some(name.to_ascii_lowercase()), value: Value::Texts(vec![value.to_owned()]), local: local.boolval })
    };
    target_list.iter().map(call).collect()
}

fn command(node: &NodeEnum) -> Cow<'static, str> {
    let either = |is: bool, one: &'static str, other: &'static str| if is { one } else { other };
    Cow::Borrowed(match node {
        NodeEnum::SelectStmt(select) => either(select.into_clause.is_some(), "SELECT INTO", "SELECT"),
        NodeEnum::InsertStmt(_) => "INSERT",
        NodeEnum::UpdateStmt(_) => "UPDATE",
        NodeEnum::DeleteStmt(_) => "DELETE",
        NodeEnum::MergeStmt(_) => "MERGE",
        NodeEnum::CopyStmt(copy) => either(copy.is_from, "COPY FROM", "COPY TO"),
        NodeEnum::TransactionStmt(transaction) => transaction_words(transaction.kind()),
        NodeEnum::VariableSetStmt(set) => {
            let resets = [pb::VariableSetKind::VarReset, pb::VariableSetKind::VarResetAll].contains(&set.kind());
            either(resets, "RESET", "SET")
        }
        NodeEnum::VariableShowStmt(_) => "SHOW",
        NodeEnum::PrepareStmt(_) => "PREPARE",
        NodeEnum::ExecuteStmt(_) => "EXECUTE",
        NodeEnum::DeallocateStmt(_) => "DEALLOCATE",
        NodeEnum::DeclareCursorStmt(_) => "DECLARE",
        NodeEnum::FetchStmt(fetch) => either(fetch.ismove, "MOVE", "FETCH"),
        NodeEnum::ClosePortalStmt(_) => "CLOSE",
        NodeEnum::ListenStmt(_) => "LISTEN",
        NodeEnum::NotifyStmt(_) => "NOTIFY",
        NodeEnum::UnlistenStmt(_) => "UNLISTEN",
        NodeEnum::ExplainStmt(explain) => either(runs(explain), "EXPLAIN ANALYZE", "EXPLAIN"),
        NodeEnum::DoStmt(_) => "DO",
        NodeEnum::CallStmt(_) => "CALL",
        NodeEnum::VacuumStmt(vacuum) => either(vacuum.is_vacuumcmd, "VACUUM", "ANALYZE"),
        NodeEnum::LockStmt(_) => "LOCK",
        NodeEnum::DiscardStmt(_) => "DISCARD",
        NodeEnum::LoadStmt(_) => "LOAD",
        NodeEnum::CheckPointStmt(_) => "CHECKPOINT",
        NodeEnum::ConstraintsSetStmt(_) => "SET CONSTRAINTS",
        NodeEnum::TruncateStmt(_) => "TRUNCATE",
        NodeEnum::ClusterStmt(_) => "CLUSTER",
        NodeEnum::ReindexStmt(_) => "REINDEX",
        NodeEnum::CommentStmt(_) => "COMMENT",
        NodeEnum::SecLabelStmt(_) => "SECURITY LABEL",
        NodeEnum::GrantStmt(grant) => either(grant.is_grant, "GRANT", "REVOKE"),
        NodeEnum::GrantRoleStmt(grant) => either(grant.is_grant, "GRANT", "REVOKE"),
        NodeEnum::CreateFunctionStmt(create) => either(create.is_procedure, "CREATE PROCEDURE", "CREATE FUNCTION"),
        NodeEnum::CreateTableAsStmt(create) => {
            let view = create.objtype() == pb::ObjectType::ObjectMatview;
            either(view, "CREATE MATERIALIZED VIEW", "CREATE TABLE AS")
        }
        _ => return of_kind(node).unwrap_or_else(|| Cow::Borrowed(definition(node).unwrap_or_else(|| of_server(node)))),
    })
}

fn transaction_words(kind: pb::TransactionStmtKind) -> &'static str {
    use pb::TransactionStmtKind as Kind;
    match kind {
        Kind::TransStmtBegin | Kind::Undefined => "BEGIN",
        Kind::TransStmtStart => "START TRANSACTION",
        Kind::TransStmtCommit => "COMMIT",
        Kind::TransStmtRollback => "ROLLBACK",
        Kind::TransStmtSavepoint => "SAVEPOINT",
        Kind::TransStmtRelease => "RELEASE",
        Kind::TransStmtRollbackTo => "ROLLBACK TO",
        Kind::TransStmtPrepare => "PREPARE TRANSACTION",
        Kind::TransStmtCommitPrepared => "COMMIT PREPARED",
        Kind::TransStmtRollbackPrepared => "ROLLBACK PREPARED",
    }
}

/// Definitions that say what kind of object they are about.
fn of_kind(node: &NodeEnum) -> Option<Cow<'static, str>> {
    let (verb, kind) = match node {
        NodeEnum::DropStmt(drop) => ("DROP", drop.remove_type()),
        NodeEnum::AlterTableStmt(alter) => ("ALTER", alter.objtype()),
        NodeEnum::RenameStmt(rename) => ("ALTER", rename.rename_type()),
        NodeEnum::AlterOwnerStmt(alter) => ("ALTER", alter.object_type()),
        NodeEnum::AlterObjectSchemaStmt(alter) => ("ALTER", alter.object_type()),
        NodeEnum::AlterObjectDependsStmt(alter) => ("ALTER", alter.object_type()),
        NodeEnum::AlterFunctionStmt(alter) => ("ALTER", alter.objtype()),
        NodeEnum::DefineStmt(define) => ("CREATE", define.kind()),
        _ => return None,
    };
    Some(Cow::Owned(format!("{verb} {}", words(kind))))
}

/// Definitions of what is in a schema.
fn definition(node: &NodeEnum) -> Option<&'static str> {
    Some(match node {
        NodeEnum::RefreshMatViewStmt(_) => "REFRESH MATERIALIZED VIEW",
        NodeEnum::CreateStmt(_) => "CREATE TABLE",
        NodeEnum::ViewStmt(_) => "CREATE VIEW",
        NodeEnum::IndexStmt(_) => "CREATE INDEX",
        NodeEnum::CreateSchemaStmt(_) => "CREATE SCHEMA",
        NodeEnum::CreateSeqStmt(_) => "CREATE SEQUENCE",
        NodeEnum::AlterSeqStmt(_) => "ALTER SEQUENCE",
        NodeEnum::CreateTrigStmt(_) => "CREATE TRIGGER",
        NodeEnum::CreateEventTrigStmt(_) => "CREATE EVENT TRIGGER",
        NodeEnum::RuleStmt(_) => "CREATE RULE",
        NodeEnum::CreatePolicyStmt(_) => "CREATE POLICY",
        NodeEnum::AlterPolicyStmt(_) => "ALTER POLICY",
        NodeEnum::CreateDomainStmt(_) => "CREATE DOMAIN",
        NodeEnum::AlterDomainStmt(_) => "ALTER DOMAIN",
        NodeEnum::CompositeTypeStmt(_) | NodeEnum::CreateEnumStmt(_) | NodeEnum::CreateRangeStmt(_) => "CREATE TYPE",
        NodeEnum::AlterEnumStmt(_) | NodeEnum::AlterTypeStmt(_) => "ALTER TYPE",
        NodeEnum::CreateCastStmt(_) => "CREATE CAST",
        NodeEnum::CreateStatsStmt(_) => "CREATE STATISTICS",
        _ => return None,
    })
}

/// Definitions of what belongs to the server or leads to others.
fn of_server(node: &NodeEnum) -> &'static str {
    match node {
        NodeEnum::AlterRoleStmt(_) | NodeEnum::AlterRoleSetStmt(_) => "ALTER ROLE",
        NodeEnum::AlterSystemStmt(_) => "ALTER SYSTEM",
        NodeEnum::AlterDefaultPrivilegesStmt(_) => "ALTER DEFAULT PRIVILEGES",
        NodeEnum::ReassignOwnedStmt(_) => "REASSIGN OWNED",
        NodeEnum::DropOwnedStmt(_) => "DROP OWNED",
        NodeEnum::ImportForeignSchemaStmt(_) => "IMPORT FOREIGN SCHEMA",
        NodeEnum::CreateRoleStmt(_) => "CREATE ROLE",
        NodeEnum::DropRoleStmt(_) => "DROP ROLE",
        NodeEnum::CreateExtensionStmt(_) => "CREATE EXTENSION",
        NodeEnum::AlterExtensionStmt(_) | NodeEnum::AlterExtensionContentsStmt(_) => "ALTER EXTENSION",
        NodeEnum::CreatePlangStmt(_) => "CREATE LANGUAGE",
        NodeEnum::CreatedbStmt(_) => "CREATE DATABASE",
        NodeEnum::DropdbStmt(_) => "DROP DATABASE",
        NodeEnum::AlterDatabaseStmt(_) | NodeEnum::AlterDatabaseSetStmt(_) | NodeEnum::AlterDatabaseRefreshCollStmt(_) => "ALTER DATABASE",
        NodeEnum::CreateForeignServerStmt(_) => "CREATE SERVER",
        NodeEnum::AlterForeignServerStmt(_) => "ALTER SERVER",
        NodeEnum::CreateForeignTableStmt(_) => "CREATE FOREIGN TABLE",
        NodeEnum::CreateFdwStmt(_) => "CREATE FOREIGN DATA WRAPPER",
        NodeEnum::AlterFdwStmt(_) => "ALTER FOREIGN DATA WRAPPER",
        NodeEnum::CreateUserMappingStmt(_) => "CREATE USER MAPPING",
        NodeEnum::AlterUserMappingStmt(_) => "ALTER USER MAPPING",
        NodeEnum::DropUserMappingStmt(_) => "DROP USER MAPPING",
        NodeEnum::CreatePublicationStmt(_) => "CREATE PUBLICATION",
        NodeEnum::AlterPublicationStmt(_) => "ALTER PUBLICATION",
        NodeEnum::CreateSubscriptionStmt(_) => "CREATE SUBSCRIPTION",
        NodeEnum::AlterSubscriptionStmt(_) => "ALTER SUBSCRIPTION",
        NodeEnum::DropSubscriptionStmt(_) => "DROP SUBSCRIPTION",
        NodeEnum::CreateTableSpaceStmt(_) => "CREATE TABLESPACE",
        NodeEnum::DropTableSpaceStmt(_) => "DROP TABLESPACE",
        _ => "DEFINITION",
    }
}

fn words(kind: pb::ObjectType) -> String {
    use pb::ObjectType as Kind;
    match kind {
        Kind::ObjectMatview => "MATERIALIZED VIEW".to_owned(),
        Kind::ObjectFdw => "FOREIGN DATA WRAPPER".to_owned(),
        Kind::ObjectForeignServer => "SERVER".to_owned(),
        Kind::ObjectColumn | Kind::ObjectTabconstraint => "TABLE".to_owned(),
        Kind::ObjectAttribute => "TYPE".to_owned(),
        Kind::ObjectDomconstraint => "DOMAIN".to_owned(),
        Kind::ObjectOpclass => "OPERATOR CLASS".to_owned(),
        Kind::ObjectOpfamily => "OPERATOR FAMILY".to_owned(),
        Kind::ObjectStatisticExt => "STATISTICS".to_owned(),
        Kind::ObjectTsconfiguration => "TEXT SEARCH CONFIGURATION".to_owned(),
        Kind::ObjectTsdictionary => "TEXT SEARCH DICTIONARY".to_owned(),
        Kind::ObjectTsparser => "TEXT SEARCH PARSER".to_owned(),
        Kind::ObjectTstemplate => "TEXT SEARCH TEMPLATE".to_owned(),
        // OBJECT_FOREIGN_TABLE, OBJECT_EVENT_TRIGGER and the rest are their words.
        other => other.as_str_name().trim_start_matches("OBJECT_").replace('_', " "),
    }
}
