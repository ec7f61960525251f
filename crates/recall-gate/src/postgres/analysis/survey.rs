//! What one statement names: relations, columns, functions, settings, and what any part of it does.
//!
//! Owns the scope of common table expressions and the marks that a walk through the tree leaves. It must not know where in the tree parts
//! can be: [`super::tree`] shows it each.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ptr;

use pg_query::NodeEnum;
use pg_query::protobuf as pb;

use super::redact::{secret_name, secret_value};
use super::tree::Descend;
use super::{Column, Denial, Function, Op, Relation, Setting, Value, denial, functions};

#[derive(Clone, Copy)]
struct Seen<'a> {
    schema: &'a str,
    name: &'a str,
    read: bool,
    written: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Named<'a> {
    qualifier: Option<Cow<'a, str>>,
    name: Option<&'a str>,
}

/// A secret constant: of its kind, in the token that begins at this byte, or in the first literal from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret {
    pub kind: &'static str,
    pub from: i32,
    pub exactly: bool,
}

/// The marks of one walk.
#[derive(Default)]
pub(super) struct Survey<'a> {
    relations: Vec<Seen<'a>>,
    columns: Vec<Named<'a>>,
    functions: Vec<(&'a str, &'a str)>,
    /// Names that stand for a row, so that alone they name all its columns.
    rows: HashSet<&'a str>,
    /// Names of common table expressions in scope, innermost last, and how often each is there.
    scope: Vec<&'a str>,
    in_scope: HashMap<&'a str, usize>,
    /// The relation that the statement being entered changes, and whether it reads it too.
    target: Option<(&'a pb::RangeVar, bool)>,
    /// Relations outside a query are defined or redefined here.
    defines: bool,
    /// A view or rule is made, which outlives this statement.
    stores: bool,
    /// Calls of `set_config`, as settings.
    pub settings: Vec<Setting>,
    /// Something in it may change something, or cannot be told.
    pub acts: bool,
    /// See [`super::Statement::opaque`].
    pub opaque: bool,
    /// The first denial.
    pub denied: Option<Denial>,
    /// The strongest change of rows.
    pub change: Option<Op>,
    /// Where secrets are.
    pub secrets: Vec<Secret>,
    /// It has code of a function as a literal.
    pub has_body: bool,
    /// Constants here are secret, and of this kind.
    hide: Option<&'static str>,
}

/// The text of a node that is a name or a constant string.
pub(super) fn text(node: &pb::Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::String(string) => Some(&string.sval),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            pb::a_const::Val::Sval(string) => Some(&string.sval),
            _ => None,
        },
        NodeEnum::TypeCast(cast) => text(cast.arg.as_ref()?),
        _ => None,
    }
}

/// Schema and name of a list of names; a database before them does not matter, since the server takes its own only.
fn schema_and_name(names: &[pb::Node]) -> (&str, &str) {
    match names {
        [.., schema, name] => (text(schema).unwrap_or_default(), text(name).unwrap_or_default()),
        [name] => ("", text(name).unwrap_or_default()),
        [] => ("", ""),
    }
}

fn in_catalog(names: &[pb::Node]) -> bool {
    matches!(schema_and_name(names).0, "" | "pg_catalog")
}

impl<'a> Survey<'a> {
    /// For a statement that defines relations (`defines`), or uses them.
    pub fn new(defines: bool) -> Self {
        Self { defines, ..Self::default() }
    }

    fn deny(&mut self, denial: Option<Denial>) {
        self.denied = self.denied.or(denial);
    }

    fn change(&mut self, op: Op) {
        let strength = |op| match op {
            Some(Op::Delete) => 3,
            Some(Op::Update) => 2,
            Some(Op::Create) => 1,
            _ => 0,
        };
        self.acts = true;
        if strength(Some(op)) > strength(self.change) {
            self.change = Some(op);
        }
    }

    fn hides(&mut self) {
        self.opaque = true;
        self.acts = true;
    }

    fn relation(&mut self, schema: &'a str, name: &'a str, read: bool, written: bool) {
        // A write to this view is set_config, and so is one to a view of it.
        if written || self.stores && name == "pg_settings" {
            self.deny(denial::of_written(schema, name));
        }
        self.relations.push(Seen { schema, name, read, written });
    }

    fn column(&mut self, name: &'a str) {
        self.columns.push(Named { qualifier: None, name: Some(name) });
    }

    fn all_columns(&mut self, qualifier: &'a str) {
        self.columns.push(Named { qualifier: (!qualifier.is_empty()).then_some(Cow::Borrowed(qualifier)), name: None });
    }

    fn column_names(&mut self, names: &'a [pb::Node]) {
        for name in names.iter().filter_map(text) {
            self.column(name);
        }
    }

    /// The columns that are assigned to.
    fn targets(&mut self, targets: &'a [pb::Node]) {
        for target in targets {
            if let Some(NodeEnum::ResTarget(target)) = &target.node
                && !target.name.is_empty()
            {
                self.column(&target.name);
            }
        }
    }

    fn call(&mut self, names: &'a [pb::Node]) {
        let (schema, name) = schema_and_name(names);
        self.functions.push((schema, name));
        self.deny(denial::of_function(name));
        if !in_catalog(names) || !functions::reads_only(name) && !functions::acts(name) {
            self.hides();
        } else if functions::acts(name) {
            self.acts = true;
        }
    }

    fn operator(&mut self, names: &'a [pb::Node]) {
        if !in_catalog(names) {
            self.hides();
        }
    }

    fn enter(&mut self, name: &'a str) {
        self.scope.push(name);
        let count = self.in_scope.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    fn leave(&mut self, depth: usize) {
        for name in self.scope.drain(depth.min(self.scope.len())..) {
            if let Some(count) = self.in_scope.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Goes through a query with its common table expressions first: each sees those before it, or all of them where they may be recursive.
    fn query(&mut self, with: Option<&'a pb::WithClause>, target: Option<(&'a pb::RangeVar, bool)>, query: &'a impl Descend) {
        let depth = self.scope.len();
        let defines = std::mem::take(&mut self.defines);
        if let Some(with) = with {
            let tables = || {
                with.ctes.iter().filter_map(|node| match &node.node {
                    Some(NodeEnum::CommonTableExpr(table)) => Some(table.as_ref()),
                    _ => None,
                })
            };
            if with.recursive {
                tables().for_each(|table| self.enter(&table.ctename));
            }
            for table in tables() {
                table.descend(self);
                self.rows.insert(&table.ctename);
                if !with.recursive {
                    self.enter(&table.ctename);
                }
            }
        }
        self.target = target;
        query.descend(self);
        self.leave(depth);
        self.defines = defines;
    }

    /// A name of a setting that is not written as a constant could be any, the role included.
    fn set_config(&mut self, call: &'a pb::FuncCall) {
        match call.args.first().and_then(text) {
            Some(name) => {
                self.deny(denial::of_setting(name));
                self.settings.push(Setting { name: Some(name.to_ascii_lowercase()), value: Value::Unknown, local: false });
            }
            None => self.deny(Some(Denial::HiddenSetting)),
        }
    }

    /// Arguments that hold secrets: all of them, or all but the name of the setting.
    fn hidden(&mut self, call: &'a pb::FuncCall) -> Option<&'static str> {
        let (_, name) = schema_and_name(&call.funcname);
        let setting = || call.args.first().and_then(text).is_none_or(secret_name);
        if name.starts_with("dblink") {
            Some("dblink arguments")
        } else if name == "set_config" && setting() {
            Some("setting")
        } else {
            self.hide
        }
    }

    /// Relations that are named by lists of names instead of as relations.
    fn objects(&mut self, kind: pb::ObjectType, objects: impl IntoIterator<Item = &'a pb::Node>) {
        use pb::ObjectType as Kind;
        for object in objects {
            let Some(NodeEnum::List(names)) = &object.node else { continue };
            let relation = match kind {
                Kind::ObjectTable | Kind::ObjectView | Kind::ObjectMatview | Kind::ObjectForeignTable | Kind::ObjectSequence => {
                    names.items.as_slice()
                }
                // The last name is the column's, trigger's, rule's or policy's.
                Kind::ObjectColumn | Kind::ObjectTrigger | Kind::ObjectRule | Kind::ObjectPolicy | Kind::ObjectTabconstraint => {
                    names.items.split_last().map_or(&[][..], |(_, relation)| relation)
                }
                _ => &[],
            };
            if !relation.is_empty() {
                let (schema, name) = schema_and_name(relation);
                self.relation(schema, name, false, true);
            }
        }
    }

    /// Each node comes by here before its own look; this one is for what a statement does by its kind.
    pub fn statement(&mut self, node: &'a NodeEnum) {
        self.deny(denial::of_statement(node));
        self.has_body |= matches!(node, NodeEnum::DoStmt(_) | NodeEnum::CreateFunctionStmt(_));
        match node {
            NodeEnum::DoStmt(_)
            | NodeEnum::CallStmt(_)
            | NodeEnum::ExecuteStmt(_)
            | NodeEnum::FetchStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::CreateEventTrigStmt(_)
            | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::CreateCastStmt(_)
            | NodeEnum::CreateConversionStmt(_)
            | NodeEnum::CreateOpClassStmt(_)
            | NodeEnum::CreateAmStmt(_)
            | NodeEnum::CreateTransformStmt(_)
            | NodeEnum::CreatePlangStmt(_)
            | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::DefineStmt(_) => self.hides(),
            NodeEnum::CreateSubscriptionStmt(create) => self.connection(create.conninfo_location, &create.conninfo),
            NodeEnum::AlterSubscriptionStmt(alter) => self.connection(alter.conninfo_location, &alter.conninfo),
            NodeEnum::ViewStmt(_) => self.stores = true,
            NodeEnum::RuleStmt(_) => {
                self.stores = true;
                self.hides();
            }
            NodeEnum::DropStmt(drop) => self.objects(drop.remove_type(), &drop.objects),
            NodeEnum::CommentStmt(comment) => self.objects(comment.objtype(), comment.object.as_deref()),
            NodeEnum::SecLabelStmt(label) => self.objects(label.objtype(), label.object.as_deref()),
            _ => {}
        }
    }

    pub fn select_stmt(&mut self, select: &'a pb::SelectStmt) {
        self.query(select.with_clause.as_ref(), None, select);
    }

    pub fn insert_stmt(&mut self, insert: &'a pb::InsertStmt) {
        let updates = insert.on_conflict_clause.as_ref().is_some_and(|clause| !clause.target_list.is_empty());
        self.change(Op::Create);
        self.targets(&insert.cols);
        if let (true, Some(relation)) = (insert.cols.is_empty(), &insert.relation) {
            self.all_columns(&relation.relname);
        }
        let target = insert.relation.as_ref().map(|relation| (relation, updates || insert.returning_clause.is_some()));
        self.query(insert.with_clause.as_ref(), target, insert);
    }

    pub fn update_stmt(&mut self, update: &'a pb::UpdateStmt) {
        self.change(Op::Update);
        self.targets(&update.target_list);
        self.query(update.with_clause.as_ref(), update.relation.as_ref().map(|relation| (relation, true)), update);
    }

    pub fn delete_stmt(&mut self, delete: &'a pb::DeleteStmt) {
        self.change(Op::Delete);
        self.query(delete.with_clause.as_ref(), delete.relation.as_ref().map(|relation| (relation, true)), delete);
    }

    pub fn merge_stmt(&mut self, merge: &'a pb::MergeStmt) {
        self.acts = true;
        self.query(merge.with_clause.as_ref(), merge.relation.as_ref().map(|relation| (relation, true)), merge);
    }

    pub fn merge_when_clause(&mut self, when: &'a pb::MergeWhenClause) {
        match when.command_type() {
            pb::CmdType::CmdInsert => {
                self.change(Op::Create);
                if when.target_list.is_empty() {
                    self.all_columns("");
                }
            }
            pb::CmdType::CmdDelete => self.change(Op::Delete),
            pb::CmdType::CmdNothing => {}
            _ => self.change(Op::Update),
        }
        self.targets(&when.target_list);
        when.descend(self);
    }

    pub fn on_conflict_clause(&mut self, clause: &'a pb::OnConflictClause) {
        self.targets(&clause.target_list);
        clause.descend(self);
    }

    /// [`Self::query`] went through it.
    pub fn with_clause(&mut self, _: &'a pb::WithClause) {}

    pub fn into(&mut self, into: &'a pb::IntoClause) {
        self.acts = true;
        self.target = into.rel.as_ref().map(|relation| (relation, false));
        into.descend(self);
    }

    pub fn copy_stmt(&mut self, copy: &'a pb::CopyStmt) {
        if copy.is_program {
            self.deny(Some(Denial::Program));
        } else if !copy.filename.is_empty() {
            self.deny(Some(Denial::ServerFile));
        }
        if copy.is_from {
            self.change(Op::Create);
            self.target = copy.relation.as_ref().map(|relation| (relation, false));
        }
        self.column_names(&copy.attlist);
        if let (true, Some(relation)) = (copy.attlist.is_empty(), &copy.relation) {
            self.all_columns(&relation.relname);
        }
        copy.descend(self);
    }

    /// It locks what the query reads; the names in it are the query's own.
    pub fn locking_clause(&mut self, _: &'a pb::LockingClause) {
        self.acts = true;
    }

    pub fn range_var(&mut self, range: &'a pb::RangeVar) {
        let target = self.target.take_if(|(target, _)| ptr::eq(*target, range));
        let table_expression = range.schemaname.is_empty()
            && range.catalogname.is_empty()
            && self.in_scope.get(range.relname.as_str()).is_some_and(|count| *count > 0);
        match target {
            Some((_, read)) => self.relation(&range.schemaname, &range.relname, read, true),
            None if self.defines => self.relation(&range.schemaname, &range.relname, false, true),
            None if !table_expression => self.relation(&range.schemaname, &range.relname, true, false),
            None => {}
        }
        match &range.alias {
            Some(alias) if !alias.colnames.is_empty() => self.all_columns(&alias.aliasname),
            Some(_) => {}
            None => {
                self.rows.insert(&range.relname);
            }
        }
        range.descend(self);
    }

    pub fn alias(&mut self, alias: &'a pb::Alias) {
        self.rows.insert(&alias.aliasname);
    }

    pub fn join_expr(&mut self, join: &'a pb::JoinExpr) {
        if join.is_natural || join.alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty()) {
            self.all_columns("");
        }
        self.column_names(&join.using_clause);
        join.descend(self);
    }

    pub fn column_ref(&mut self, column: &'a pb::ColumnRef) {
        let Some((last, before)) = column.fields.split_last() else { return };
        let qualifier = match before {
            [] => None,
            [one] => text(one).map(Cow::Borrowed),
            several => Some(Cow::Owned(several.iter().filter_map(text).collect::<Vec<_>>().join("."))),
        };
        self.columns.push(Named { qualifier, name: text(last) });
    }

    pub fn a_indirection(&mut self, indirection: &'a pb::AIndirection) {
        for part in &indirection.indirection {
            match &part.node {
                Some(NodeEnum::String(name)) => self.column(&name.sval),
                Some(NodeEnum::AStar(_)) => self.all_columns(""),
                _ => {}
            }
        }
        indirection.descend(self);
    }

    pub fn func_call(&mut self, call: &'a pb::FuncCall) {
        self.call(&call.funcname);
        if schema_and_name(&call.funcname).1 == "set_config" {
            self.set_config(call);
        }
        let hide = self.hidden(call);
        let before = std::mem::replace(&mut self.hide, hide);
        call.descend(self);
        self.hide = before;
    }

    pub fn range_table_sample(&mut self, sample: &'a pb::RangeTableSample) {
        self.call(&sample.method);
        sample.descend(self);
    }

    pub fn a_expr(&mut self, expression: &'a pb::AExpr) {
        self.operator(&expression.name);
        expression.descend(self);
    }

    pub fn sub_link(&mut self, link: &'a pb::SubLink) {
        self.operator(&link.oper_name);
        link.descend(self);
    }

    pub fn sort_by(&mut self, sort: &'a pb::SortBy) {
        self.operator(&sort.use_op);
        sort.descend(self);
    }

    /// Definitions of operators, aggregates and types name functions as types.
    pub fn type_name(&mut self, name: &'a pb::TypeName) {
        let (_, last) = schema_and_name(&name.names);
        self.deny(denial::of_function(last));
        if name.pct_type || !in_catalog(&name.names) || !functions::built_in_type(last) {
            self.acts = true;
        }
        name.descend(self);
    }

    pub fn object_with_args(&mut self, object: &'a pb::ObjectWithArgs) {
        self.deny(denial::of_function(schema_and_name(&object.objname).1));
        object.descend(self);
    }

    pub fn create_trig_stmt(&mut self, trigger: &'a pb::CreateTrigStmt) {
        self.deny(denial::of_function(schema_and_name(&trigger.funcname).1));
        self.column_names(&trigger.columns);
        trigger.descend(self);
    }

    pub fn variable_set_stmt(&mut self, set: &'a pb::VariableSetStmt) {
        self.deny(denial::of_setting(&set.name));
        let before = self.hide;
        self.hide = self.hide.or(secret_name(&set.name).then_some("setting"));
        set.descend(self);
        self.hide = before;
    }

    pub fn a_const(&mut self, constant: &'a pb::AConst) {
        let says_something = !matches!(constant.val, None | Some(pb::a_const::Val::Boolval(_)));
        if let (Some(kind), true) = (self.hide, says_something) {
            self.secrets.push(Secret { kind, from: constant.location, exactly: true });
        }
    }

    /// Options of roles, servers and user mappings.
    pub fn def_elem(&mut self, option: &'a pb::DefElem) {
        if let Some(NodeEnum::String(value)) = option.arg.as_ref().and_then(|arg| arg.node.as_ref())
            && (secret_name(&option.defname) || secret_value(&value.sval) && option.defname != "as")
        {
            let kind = if option.defname == "password" { "password" } else { "option" };
            self.secrets.push(Secret { kind, from: option.location, exactly: false });
        }
        option.descend(self);
    }

    fn connection(&mut self, from: i32, conninfo: &str) {
        if !conninfo.is_empty() {
            self.secrets.push(Secret { kind: "connection string", from, exactly: false });
        }
    }

    pub fn index_elem(&mut self, element: &'a pb::IndexElem) {
        if !element.name.is_empty() {
            self.column(&element.name);
        }
        element.descend(self);
    }

    pub fn column_def(&mut self, column: &'a pb::ColumnDef) {
        self.column(&column.colname);
        column.descend(self);
    }

    pub fn alter_table_cmd(&mut self, command: &'a pb::AlterTableCmd) {
        if !command.name.is_empty() {
            self.column(&command.name);
        }
        command.descend(self);
    }

    pub fn constraint(&mut self, constraint: &'a pb::Constraint) {
        for names in [&constraint.keys, &constraint.including, &constraint.fk_attrs, &constraint.pk_attrs] {
            self.column_names(names);
        }
        constraint.descend(self);
    }

    /// The relations, each once, with what is done to it anywhere.
    pub fn relations(&self) -> Vec<Relation> {
        let mut places = HashMap::new();
        let mut relations: Vec<Relation> = Vec::new();
        let some = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        for seen in &self.relations {
            let place = *places.entry((seen.schema, seen.name)).or_insert_with(|| {
                relations.push(Relation { schema: some(seen.schema), name: seen.name.to_owned(), read: false, written: false });
                relations.len() - 1
            });
            if let Some(relation) = relations.get_mut(place) {
                relation.read |= seen.read;
                relation.written |= seen.written;
            }
        }
        relations
    }

    /// The columns, each once. A name alone that stands for a row names all columns of it.
    pub fn columns(&self) -> Vec<Column> {
        let mut known = HashSet::new();
        let mut columns = Vec::new();
        let mut add = |named: Named<'a>| {
            if known.insert(named.clone()) {
                columns.push(Column { qualifier: named.qualifier.map(Cow::into_owned), name: named.name.map(str::to_owned) });
            }
        };
        for named in &self.columns {
            add(named.clone());
            if let Named { qualifier: None, name: Some(name) } = named
                && self.rows.contains(name)
            {
                add(Named { qualifier: Some(Cow::Borrowed(*name)), name: None });
            }
        }
        columns
    }

    /// The functions, each once.
    pub fn functions(&self) -> Vec<Function> {
        let mut known = HashSet::new();
        let once = self.functions.iter().filter(|function| known.insert(**function));
        once.map(|(schema, name)| Function { schema: (!schema.is_empty()).then(|| (*schema).to_owned()), name: (*name).to_owned() })
            .collect()
    }
}
