//! What is denied by default whoever asks, because it leads round the gateway: other roles, other servers, the server's files.
//!
//! Owns the names and sentences of denials and which nodes earn one. It must not know what policy adds.

use pg_query::NodeEnum;
use pg_query::protobuf as pb;

use super::functions;

/// Why a statement is denied whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Denial {
    /// A role or its password is made, changed or dropped.
    Role,
    /// Rights are granted, revoked or handed on.
    Privilege,
    /// The session takes another role.
    SwitchRole,
    /// The name of the setting that is changed is not in the text; it may be the role.
    HiddenSetting,
    /// A foreign server is reached or set up.
    ForeignServer,
    /// A file of the server is read or written.
    ServerFile,
    /// A program is run on the server.
    Program,
    /// A language or extension that leaves the database is installed or used.
    Untrusted,
    /// A function is to run with its owner's rights.
    SecurityDefiner,
    /// A library is loaded.
    Library,
    /// The server's configuration is changed.
    ServerConfiguration,
    /// Replication is set up or used.
    Replication,
    /// A system catalog is written to.
    SystemCatalog,
}

impl Denial {
    /// A name that stays.
    pub fn code(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Privilege => "privilege",
            Self::SwitchRole => "switch_role",
            Self::HiddenSetting => "hidden_setting",
            Self::ForeignServer => "foreign_server",
            Self::ServerFile => "server_file",
            Self::Program => "program",
            Self::Untrusted => "untrusted",
            Self::SecurityDefiner => "security_definer",
            Self::Library => "library",
            Self::ServerConfiguration => "server_configuration",
            Self::Replication => "replication",
            Self::SystemCatalog => "system_catalog",
        }
    }

    /// One sentence for the person who is denied.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Role => "roles and their passwords are not changed through this gateway",
            Self::Privilege => "rights are not granted, revoked or handed on through this gateway",
            Self::SwitchRole => "a session of this gateway keeps its role",
            Self::HiddenSetting => "the name of a setting must be written as a constant",
            Self::ForeignServer => "other servers are not reached through this gateway",
            Self::ServerFile => "files of the server are not reached through this gateway",
            Self::Program => "programs are not run on the server through this gateway",
            Self::Untrusted => "languages and extensions that reach outside the database are not used through this gateway",
            Self::SecurityDefiner => "functions with their owner's rights are not made through this gateway",
            Self::Library => "libraries are not loaded through this gateway",
            Self::ServerConfiguration => "the server's configuration is not changed through this gateway",
            Self::Replication => "replication is not set up or used through this gateway",
            Self::SystemCatalog => "system catalogs are not written to through this gateway",
        }
    }
}

/// What a node that is a statement earns by its kind.
pub(super) fn of_statement(node: &NodeEnum) -> Option<Denial> {
    use pb::ObjectType;
    match node {
        NodeEnum::CreateRoleStmt(_) | NodeEnum::AlterRoleStmt(_) | NodeEnum::AlterRoleSetStmt(_) | NodeEnum::DropRoleStmt(_) => {
            Some(Denial::Role)
        }
        NodeEnum::RenameStmt(rename) => (rename.rename_type() == ObjectType::ObjectRole).then_some(Denial::Role),
        NodeEnum::GrantStmt(_)
        | NodeEnum::GrantRoleStmt(_)
        | NodeEnum::AlterDefaultPrivilegesStmt(_)
        | NodeEnum::ReassignOwnedStmt(_)
        | NodeEnum::DropOwnedStmt(_) => Some(Denial::Privilege),
        NodeEnum::CreateFdwStmt(_)
        | NodeEnum::AlterFdwStmt(_)
        | NodeEnum::CreateForeignServerStmt(_)
        | NodeEnum::AlterForeignServerStmt(_)
        | NodeEnum::CreateForeignTableStmt(_)
        | NodeEnum::CreateUserMappingStmt(_)
        | NodeEnum::AlterUserMappingStmt(_)
        | NodeEnum::DropUserMappingStmt(_)
        | NodeEnum::ImportForeignSchemaStmt(_) => Some(Denial::ForeignServer),
        NodeEnum::AlterTableStmt(alter) => (alter.objtype() == ObjectType::ObjectForeignTable).then_some(Denial::ForeignServer),
        NodeEnum::CreateExtensionStmt(create) => extension(&create.extname),
        NodeEnum::AlterExtensionStmt(alter) => extension(&alter.extname),
        NodeEnum::CreatePlangStmt(create) => language(&create.plname),
        NodeEnum::CreateFunctionStmt(create) => create.options.iter().find_map(of_option),
        NodeEnum::AlterFunctionStmt(alter) => alter.actions.iter().find_map(of_option),
        NodeEnum::DoStmt(block) => block.args.iter().find_map(of_option),
        NodeEnum::LoadStmt(_) => Some(Denial::Library),
        NodeEnum::AlterSystemStmt(_) => Some(Denial::ServerConfiguration),
        NodeEnum::CreatePublicationStmt(_)
        | NodeEnum::AlterPublicationStmt(_)
        | NodeEnum::CreateSubscriptionStmt(_)
        | NodeEnum::AlterSubscriptionStmt(_)
        | NodeEnum::DropSubscriptionStmt(_) => Some(Denial::Replication),
        _ => None,
    }
}

/// What a setting's name earns. Names of settings are matched without case.
pub(super) fn of_setting(name: &str) -> Option<Denial> {
    ["role", "session_authorization"].iter().any(|other| name.eq_ignore_ascii_case(other)).then_some(Denial::SwitchRole)
}

/// What a function's name earns, in whichever schema it is: an extension can be installed in any.
pub(super) fn of_function(name: &str) -> Option<Denial> {
    if !functions::denied(name) {
        None
    } else if name.starts_with("dblink") || name.starts_with("postgres_fdw") {
        Some(Denial::ForeignServer)
    } else if ["_file", "_ls_", "lo_", "pg_read_", "pg_log"].iter().any(|part| name.contains(part)) && !name.starts_with("pg_logical_") {
        Some(Denial::ServerFile)
    } else if name.contains("replication") || name.contains("logical") {
        Some(Denial::Replication)
    } else {
        Some(Denial::ServerConfiguration)
    }
}

/// A relation that is written to: the view of settings takes writes, and a superuser's reach every catalog.
pub(super) fn of_written(schema: &str, name: &str) -> Option<Denial> {
    (schema == "pg_catalog" || schema.is_empty() && name.starts_with("pg_")).then_some(Denial::SystemCatalog)
}

fn of_option(option: &pb::Node) -> Option<Denial> {
    let Some(NodeEnum::DefElem(option)) = &option.node else { return None };
    match (option.defname.as_str(), option.arg.as_ref().and_then(|arg| arg.node.as_ref())) {
        ("language", Some(NodeEnum::String(name))) => language(&name.sval),
        ("security", Some(NodeEnum::Boolean(definer))) => definer.boolval.then_some(Denial::SecurityDefiner),
        // The grammar gives these two their kinds; anything else is not what it seems.
        ("language" | "security", _) => Some(Denial::Untrusted),
        _ => None,
    }
}

fn language(name: &str) -> Option<Denial> {
    let trusted = ["sql", "plpgsql", "plperl", "pltcl", "plv8"];
    (!trusted.iter().any(|other| name.eq_ignore_ascii_case(other))).then_some(Denial::Untrusted)
}

fn extension(name: &str) -> Option<Denial> {
    let untrusted_language = name.starts_with("pl") && (name.ends_with('u') || name.contains("u_"));
    let outside = ["dblink", "adminpack", "pageinspect", "pg_cron", "pg_background"].contains(&name) || name.ends_with("_fdw");
    (untrusted_language || outside || name.starts_with("plpython")).then_some(Denial::Untrusted)
}
