//! Walks a parse tree without missing a part of it.
//!
//! Owns one line for each kind of node that PostgreSQL's grammar can make, with all its fields. The lines are patterns without `..`, and the
//! kinds are one `match` without `_`, so that a field or a kind which a later grammar brings fails to compile here instead of going unseen.
//! A name in brackets is the method of [`Survey`] that looks at this kind; it descends by itself. It must not know what is looked for.

use pg_query::NodeEnum;
use pg_query::protobuf as pb;

use super::survey::Survey;

/// What a survey can go through.
pub(super) trait Walk {
    /// Shows this part of the tree to the survey, and what is below it.
    fn walk<'a>(&'a self, survey: &mut Survey<'a>);
}

/// A node, whose parts can be gone through one after another.
pub(super) trait Descend {
    /// Goes through all fields in their order.
    fn descend<'a>(&'a self, survey: &mut Survey<'a>);
}

macro_rules! plain {
    ($($name:ty)*) => { $(
        impl Walk for $name {
            fn walk<'a>(&'a self, _: &mut Survey<'a>) {}
        }
    )* };
}

plain! { bool i32 i64 u32 u64 f64 String }

impl<T: Walk> Walk for Vec<T> {
    fn walk<'a>(&'a self, survey: &mut Survey<'a>) {
        for part in self {
            part.walk(survey);
        }
    }
}

impl<T: Walk> Walk for Option<T> {
    fn walk<'a>(&'a self, survey: &mut Survey<'a>) {
        if let Some(part) = self {
            part.walk(survey);
        }
    }
}

impl<T: Walk> Walk for Box<T> {
    fn walk<'a>(&'a self, survey: &mut Survey<'a>) {
        self.as_ref().walk(survey);
    }
}

impl Walk for pb::Node {
    fn walk<'a>(&'a self, survey: &mut Survey<'a>) {
        self.node.walk(survey);
    }
}

impl Walk for pb::a_const::Val {
    fn walk<'a>(&'a self, _: &mut Survey<'a>) {}
}

macro_rules! nodes {
    ($($name:ident $([$look:ident])? { $($field:ident),* $(,)? })*) => { $(
        impl Descend for pb::$name {
            #[allow(unused_variables)]
            fn descend<'a>(&'a self, survey: &mut Survey<'a>) {
                let Self { $($field),* } = self;
                $($field.walk(survey);)*
            }
        }
        nodes!(@walk $name $($look)?);
    )* };
    (@walk $name:ident) => {
        impl Walk for pb::$name {
            fn walk<'a>(&'a self, survey: &mut Survey<'a>) {
                self.descend(survey);
            }
        }
    };
    (@walk $name:ident $look:ident) => {
        impl Walk for pb::$name {
            fn walk<'a>(&'a self, survey: &mut Survey<'a>) {
                survey.$look(self);
            }
        }
    };
}

macro_rules! kinds {
    ($($kind:ident)*) => {
        impl Walk for NodeEnum {
            fn walk<'a>(&'a self, survey: &mut Survey<'a>) {
                survey.statement(self);
                match self {
                    $(Self::$kind(node) => node.walk(survey),)*
                }
            }
        }
    };
}

kinds! {
    Alias RangeVar TableFunc IntoClause Var Param Aggref GroupingFunc WindowFunc WindowFuncRunCondition MergeSupportFunc SubscriptingRef
    FuncExpr NamedArgExpr OpExpr DistinctExpr NullIfExpr ScalarArrayOpExpr BoolExpr SubLink SubPlan AlternativeSubPlan FieldSelect
    FieldStore RelabelType CoerceViaIo ArrayCoerceExpr ConvertRowtypeExpr CollateExpr CaseExpr CaseWhen CaseTestExpr ArrayExpr RowExpr
    RowCompareExpr CoalesceExpr MinMaxExpr SqlvalueFunction XmlExpr JsonFormat JsonReturning JsonValueExpr JsonConstructorExpr
    JsonIsPredicate JsonBehavior JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin NullTest BooleanTest MergeAction
    CoerceToDomain CoerceToDomainValue SetToDefault CurrentOfExpr NextValueExpr InferenceElem ReturningExpr TargetEntry RangeTblRef
    JoinExpr FromExpr OnConflictExpr Query TypeName ColumnRef ParamRef AExpr TypeCast CollateClause RoleSpec FuncCall AStar AIndices
    AIndirection AArrayExpr ResTarget MultiAssignRef SortBy WindowDef RangeSubselect RangeFunction RangeTableFunc RangeTableFuncCol
    RangeTableSample ColumnDef TableLikeClause IndexElem DefElem LockingClause XmlSerialize PartitionElem PartitionSpec
    PartitionBoundSpec PartitionRangeDatum PartitionCmd RangeTblEntry RtepermissionInfo RangeTblFunction TableSampleClause
    WithCheckOption SortGroupClause GroupingSet WindowClause RowMarkClause WithClause InferClause OnConflictClause CtesearchClause
    CtecycleClause CommonTableExpr MergeWhenClause ReturningOption ReturningClause TriggerTransition JsonOutput JsonArgument JsonFuncExpr
    JsonTablePathSpec JsonTable JsonTableColumn JsonKeyValue JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonObjectConstructor
    JsonArrayConstructor JsonArrayQueryConstructor JsonAggConstructor JsonObjectAgg JsonArrayAgg RawStmt InsertStmt DeleteStmt UpdateStmt
    MergeStmt SelectStmt SetOperationStmt ReturnStmt PlassignStmt CreateSchemaStmt AlterTableStmt AlterTableCmd AtalterConstraint
    ReplicaIdentityStmt AlterCollationStmt AlterDomainStmt GrantStmt ObjectWithArgs AccessPriv GrantRoleStmt AlterDefaultPrivilegesStmt
    CopyStmt VariableSetStmt VariableShowStmt CreateStmt Constraint CreateTableSpaceStmt DropTableSpaceStmt AlterTableSpaceOptionsStmt
    AlterTableMoveAllStmt CreateExtensionStmt AlterExtensionStmt AlterExtensionContentsStmt CreateFdwStmt AlterFdwStmt
    CreateForeignServerStmt AlterForeignServerStmt CreateForeignTableStmt CreateUserMappingStmt AlterUserMappingStmt DropUserMappingStmt
    ImportForeignSchemaStmt CreatePolicyStmt AlterPolicyStmt CreateAmStmt CreateTrigStmt CreateEventTrigStmt AlterEventTrigStmt
    CreatePlangStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt CreateSeqStmt AlterSeqStmt DefineStmt CreateDomainStmt
    CreateOpClassStmt CreateOpClassItem CreateOpFamilyStmt AlterOpFamilyStmt DropStmt TruncateStmt CommentStmt SecLabelStmt
    DeclareCursorStmt ClosePortalStmt FetchStmt IndexStmt CreateStatsStmt StatsElem AlterStatsStmt CreateFunctionStmt FunctionParameter
    AlterFunctionStmt DoStmt InlineCodeBlock CallStmt CallContext RenameStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOwnerStmt
    AlterOperatorStmt AlterTypeStmt RuleStmt NotifyStmt ListenStmt UnlistenStmt TransactionStmt CompositeTypeStmt CreateEnumStmt
    CreateRangeStmt AlterEnumStmt ViewStmt LoadStmt CreatedbStmt AlterDatabaseStmt AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt
    DropdbStmt AlterSystemStmt ClusterStmt VacuumStmt VacuumRelation ExplainStmt CreateTableAsStmt RefreshMatViewStmt CheckPointStmt
    DiscardStmt LockStmt ConstraintsSetStmt ReindexStmt CreateConversionStmt CreateCastStmt CreateTransformStmt PrepareStmt ExecuteStmt
    DeallocateStmt DropOwnedStmt ReassignOwnedStmt AlterTsdictionaryStmt AlterTsconfigurationStmt PublicationTable PublicationObjSpec
    CreatePublicationStmt AlterPublicationStmt CreateSubscriptionStmt AlterSubscriptionStmt DropSubscriptionStmt Integer Float Boolean
    String BitString List IntList OidList AConst
}

nodes! {
    Integer { ival }
    Float { fval }
    Boolean { boolval }
    String { sval }
    BitString { bsval }
    List { items }
    OidList { items }
    IntList { items }
    AConst [a_const] { isnull, location, val }
    Alias [alias] { aliasname, colnames }
    RangeVar [range_var] { catalogname, schemaname, relname, inh, relpersistence, alias, location }
    TableFunc {
        functype, ns_uris, ns_names, docexpr, rowexpr, colnames, coltypes, coltypmods, colcollations, colexprs, coldefexprs, colvalexprs,
        passingvalexprs, notnulls, plan, ordinalitycol, location,
    }
    IntoClause [into] { rel, col_names, access_method, options, on_commit, table_space_name, view_query, skip_data }
    Var { xpr, varno, varattno, vartype, vartypmod, varcollid, varnullingrels, varlevelsup, varreturningtype, location }
    Param { xpr, paramkind, paramid, paramtype, paramtypmod, paramcollid, location }
    Aggref {
        xpr, aggfnoid, aggtype, aggcollid, inputcollid, aggargtypes, aggdirectargs, args, aggorder, aggdistinct, aggfilter, aggstar,
        aggvariadic, aggkind, agglevelsup, aggsplit, aggno, aggtransno, location,
    }
    GroupingFunc { xpr, args, refs, agglevelsup, location }
    WindowFunc { xpr, winfnoid, wintype, wincollid, inputcollid, args, aggfilter, run_condition, winref, winstar, winagg, location }
    WindowFuncRunCondition { xpr, opno, inputcollid, wfunc_left, arg }
    MergeSupportFunc { xpr, msftype, msfcollid, location }
    SubscriptingRef {
        xpr, refcontainertype, refelemtype, refrestype, reftypmod, refcollid, refupperindexpr, reflowerindexpr, refexpr, refassgnexpr,
    }
    FuncExpr { xpr, funcid, funcresulttype, funcretset, funcvariadic, funcformat, funccollid, inputcollid, args, location }
    NamedArgExpr { xpr, arg, name, argnumber, location }
    OpExpr { xpr, opno, opresulttype, opretset, opcollid, inputcollid, args, location }
    DistinctExpr { xpr, opno, opresulttype, opretset, opcollid, inputcollid, args, location }
    NullIfExpr { xpr, opno, opresulttype, opretset, opcollid, inputcollid, args, location }
    ScalarArrayOpExpr { xpr, opno, use_or, inputcollid, args, location }
    BoolExpr { xpr, boolop, args, location }
    SubLink [sub_link] { xpr, sub_link_type, sub_link_id, testexpr, oper_name, subselect, location }
    SubPlan {
        xpr, sub_link_type, testexpr, param_ids, plan_id, plan_name, first_col_type, first_col_typmod, first_col_collation,
        use_hash_table, unknown_eq_false, parallel_safe, set_param, par_param, args, startup_cost, per_call_cost,
    }
    AlternativeSubPlan { xpr, subplans }
    FieldSelect { xpr, arg, fieldnum, resulttype, resulttypmod, resultcollid }
    FieldStore { xpr, arg, newvals, fieldnums, resulttype }
    RelabelType { xpr, arg, resulttype, resulttypmod, resultcollid, relabelformat, location }
    CoerceViaIo { xpr, arg, resulttype, resultcollid, coerceformat, location }
    ArrayCoerceExpr { xpr, arg, elemexpr, resulttype, resulttypmod, resultcollid, coerceformat, location }
    ConvertRowtypeExpr { xpr, arg, resulttype, convertformat, location }
    CollateExpr { xpr, arg, coll_oid, location }
    CaseExpr { xpr, casetype, casecollid, arg, args, defresult, location }
    CaseWhen { xpr, expr, result, location }
    CaseTestExpr { xpr, type_id, type_mod, collation }
    ArrayExpr { xpr, array_typeid, array_collid, element_typeid, elements, multidims, list_start, list_end, location }
    RowExpr { xpr, args, row_typeid, row_format, colnames, location }
    RowCompareExpr { xpr, cmptype, opnos, opfamilies, inputcollids, largs, rargs }
    CoalesceExpr { xpr, coalescetype, coalescecollid, args, location }
    MinMaxExpr { xpr, minmaxtype, minmaxcollid, inputcollid, op, args, location }
    SqlValueFunction { xpr, op, r#type, typmod, location }
    XmlExpr { xpr, op, name, named_args, arg_names, args, xmloption, indent, r#type, typmod, location }
    JsonFormat { format_type, encoding, location }
    JsonReturning { format, typid, typmod }
    JsonValueExpr { raw_expr, formatted_expr, format }
    JsonConstructorExpr { xpr, r#type, args, func, coercion, returning, absent_on_null, unique, location }
    JsonIsPredicate { expr, format, item_type, unique_keys, location }
    JsonBehavior { btype, expr, coerce, location }
    JsonExpr {
        xpr, op, column_name, formatted_expr, format, path_spec, returning, passing_names, passing_values, on_empty, on_error,
        use_io_coercion, use_json_coercion, wrapper, omit_quotes, collation, location,
    }
    JsonTablePath { name }
    JsonTablePathScan { plan, path, error_on_error, child, col_min, col_max }
    JsonTableSiblingJoin { plan, lplan, rplan }
    NullTest { xpr, arg, nulltesttype, argisrow, location }
    BooleanTest { xpr, arg, booltesttype, location }
    MergeAction { match_kind, command_type, r#override, qual, target_list, update_colnos }
    CoerceToDomain { xpr, arg, resulttype, resulttypmod, resultcollid, coercionformat, location }
    CoerceToDomainValue { xpr, type_id, type_mod, collation, location }
    SetToDefault { xpr, type_id, type_mod, collation, location }
    CurrentOfExpr { xpr, cvarno, cursor_name, cursor_param }
    NextValueExpr { xpr, seqid, type_id }
    InferenceElem { xpr, expr, infercollid, inferopclass }
    ReturningExpr { xpr, retlevelsup, retold, retexpr }
    TargetEntry { xpr, expr, resno, resname, ressortgroupref, resorigtbl, resorigcol, resjunk }
    RangeTblRef { rtindex }
    JoinExpr [join_expr] { jointype, is_natural, larg, rarg, using_clause, join_using_alias, quals, alias, rtindex }
    FromExpr { fromlist, quals }
    OnConflictExpr { action, arbiter_elems, arbiter_where, constraint, on_conflict_set, on_conflict_where, excl_rel_index, excl_rel_tlist }
    Query {
        command_type, query_source, can_set_tag, utility_stmt, result_relation, has_aggs, has_window_funcs, has_target_srfs,
        has_sub_links, has_distinct_on, has_recursive, has_modifying_cte, has_for_update, has_row_security, has_group_rte, is_return,
        cte_list, rtable, rteperminfos, jointree, merge_action_list, merge_target_relation, merge_join_condition, target_list, r#override,
        on_conflict, returning_old_alias, returning_new_alias, returning_list, group_clause, group_distinct, grouping_sets, having_qual,
        window_clause, distinct_clause, sort_clause, limit_offset, limit_count, limit_option, row_marks, set_operations, constraint_deps,
        with_check_options, stmt_location, stmt_len,
    }
    TypeName [type_name] { names, type_oid, setof, pct_type, typmods, typemod, array_bounds, location }
    ColumnRef [column_ref] { fields, location }
    ParamRef { number, location }
    AExpr [a_expr] { kind, name, lexpr, rexpr, rexpr_list_start, rexpr_list_end, location }
    TypeCast { arg, type_name, location }
    CollateClause { arg, collname, location }
    RoleSpec { roletype, rolename, location }
    FuncCall [func_call] {
        funcname, args, agg_order, agg_filter, over, agg_within_group, agg_star, agg_distinct, func_variadic, funcformat, location,
    }
    AIndirection [a_indirection] { arg, indirection }
    AArrayExpr { elements, list_start, list_end, location }
    ResTarget { name, indirection, val, location }
    MultiAssignRef { source, colno, ncolumns }
    SortBy [sort_by] { node, sortby_dir, sortby_nulls, use_op, location }
    WindowDef { name, refname, partition_clause, order_clause, frame_options, start_offset, end_offset, location }
    RangeSubselect { lateral, subquery, alias }
    RangeFunction { lateral, ordinality, is_rowsfrom, functions, alias, coldeflist }
    RangeTableFunc { lateral, docexpr, rowexpr, namespaces, columns, alias, location }
    RangeTableFuncCol { colname, type_name, for_ordinality, is_not_null, colexpr, coldefexpr, location }
    RangeTableSample [range_table_sample] { relation, method, args, repeatable, location }
    ColumnDef [column_def] {
        colname, type_name, compression, inhcount, is_local, is_not_null, is_from_type, storage, storage_name, raw_default,
        cooked_default, identity, identity_sequence, generated, coll_clause, coll_oid, constraints, fdwoptions, location,
    }
    TableLikeClause { relation, options, relation_oid }
    IndexElem [index_elem] { name, expr, indexcolname, collation, opclass, opclassopts, ordering, nulls_ordering }
    DefElem [def_elem] { defnamespace, defname, arg, defaction, location, arg_location }
    LockingClause [locking_clause] { locked_rels, strength, wait_policy }
    XmlSerialize { xmloption, expr, type_name, indent, location }
    PartitionElem { name, expr, collation, opclass, location }
    PartitionSpec { strategy, part_params, location }
    PartitionBoundSpec { strategy, is_default, modulus, remainder, listdatums, lowerdatums, upperdatums, location }
    PartitionRangeDatum { kind, value, location }
    PartitionCmd { name, bound, concurrent }
    RangeTblEntry {
        alias, eref, rtekind, relid, inh, relkind, rellockmode, perminfoindex, tablesample, subquery, security_barrier, jointype,
        joinmergedcols, joinaliasvars, joinleftcols, joinrightcols, join_using_alias, functions, funcordinality, tablefunc, values_lists,
        ctename, ctelevelsup, self_reference, coltypes, coltypmods, colcollations, enrname, enrtuples, groupexprs, lateral, in_from_cl,
        security_quals,
    }
    RtePermissionInfo { relid, inh, required_perms, check_as_user, selected_cols, inserted_cols, updated_cols }
    RangeTblFunction { funcexpr, funccolcount, funccolnames, funccoltypes, funccoltypmods, funccolcollations, funcparams }
    TableSampleClause { tsmhandler, args, repeatable }
    WithCheckOption { kind, relname, polname, qual, cascaded }
    SortGroupClause { tle_sort_group_ref, eqop, sortop, reverse_sort, nulls_first, hashable }
    GroupingSet { kind, content, location }
    WindowClause {
        name, refname, partition_clause, order_clause, frame_options, start_offset, end_offset, start_in_range_func, end_in_range_func,
        in_range_coll, in_range_asc, in_range_nulls_first, winref, copied_order,
    }
    RowMarkClause { rti, strength, wait_policy, pushed_down }
    WithClause [with_clause] { ctes, recursive, location }
    InferClause { index_elems, where_clause, conname, location }
    OnConflictClause [on_conflict_clause] { action, infer, target_list, where_clause, location }
    CteSearchClause { search_col_list, search_breadth_first, search_seq_column, location }
    CteCycleClause {
        cycle_col_list, cycle_mark_column, cycle_mark_value, cycle_mark_default, cycle_path_column, location, cycle_mark_type,
        cycle_mark_typmod, cycle_mark_collation, cycle_mark_neop,
    }
    CommonTableExpr {
        ctename, aliascolnames, ctematerialized, ctequery, search_clause, cycle_clause, location, cterecursive, cterefcount, ctecolnames,
        ctecoltypes, ctecoltypmods, ctecolcollations,
    }
    MergeWhenClause [merge_when_clause] { match_kind, command_type, r#override, condition, target_list, values }
    ReturningOption { option, value, location }
    ReturningClause { options, exprs }
    TriggerTransition { name, is_new, is_table }
    JsonOutput { type_name, returning }
    JsonArgument { val, name }
    JsonFuncExpr { op, column_name, context_item, pathspec, passing, output, on_empty, on_error, wrapper, quotes, location }
    JsonTablePathSpec { string, name, name_location, location }
    JsonTable { context_item, pathspec, passing, columns, on_error, alias, lateral, location }
    JsonTableColumn { coltype, name, type_name, pathspec, format, wrapper, quotes, columns, on_empty, on_error, location }
    JsonKeyValue { key, value }
    JsonParseExpr { expr, output, unique_keys, location }
    JsonScalarExpr { expr, output, location }
    JsonSerializeExpr { expr, output, location }
    JsonObjectConstructor { exprs, output, absent_on_null, unique, location }
    JsonArrayConstructor { exprs, output, absent_on_null, location }
    JsonArrayQueryConstructor { query, output, format, absent_on_null, location }
    JsonAggConstructor { output, agg_filter, agg_order, over, location }
    JsonObjectAgg { constructor, arg, absent_on_null, unique }
    JsonArrayAgg { constructor, arg, absent_on_null }
    RawStmt { stmt, stmt_location, stmt_len }
    InsertStmt [insert_stmt] { relation, cols, select_stmt, on_conflict_clause, returning_clause, with_clause, r#override }
    DeleteStmt [delete_stmt] { relation, using_clause, where_clause, returning_clause, with_clause }
    UpdateStmt [update_stmt] { relation, target_list, where_clause, from_clause, returning_clause, with_clause }
    MergeStmt [merge_stmt] { relation, source_relation, join_condition, merge_when_clauses, returning_clause, with_clause }
    SelectStmt [select_stmt] {
        distinct_clause, into_clause, target_list, from_clause, where_clause, group_clause, group_distinct, having_clause, window_clause,
        values_lists, sort_clause, limit_offset, limit_count, limit_option, locking_clause, with_clause, op, all, larg, rarg,
    }
    SetOperationStmt { op, all, larg, rarg, col_types, col_typmods, col_collations, group_clauses }
    ReturnStmt { returnval }
    PlAssignStmt { name, indirection, nnames, val, location }
    CreateSchemaStmt { schemaname, authrole, schema_elts, if_not_exists }
    AlterTableStmt { relation, cmds, objtype, missing_ok }
    AlterTableCmd [alter_table_cmd] { subtype, name, num, newowner, def, behavior, missing_ok, recurse }
    AtAlterConstraint {
        conname, alter_enforceability, is_enforced, alter_deferrability, deferrable, initdeferred, alter_inheritability, noinherit,
    }
    ReplicaIdentityStmt { identity_type, name }
    AlterCollationStmt { collname }
    AlterDomainStmt { subtype, type_name, name, def, behavior, missing_ok }
    GrantStmt { is_grant, targtype, objtype, objects, privileges, grantees, grant_option, grantor, behavior }
    ObjectWithArgs [object_with_args] { objname, objargs, objfuncargs, args_unspecified }
    AccessPriv { priv_name, cols }
    GrantRoleStmt { granted_roles, grantee_roles, is_grant, opt, grantor, behavior }
    AlterDefaultPrivilegesStmt { options, action }
    CopyStmt [copy_stmt] { relation, query, attlist, is_from, is_program, filename, options, where_clause }
    VariableSetStmt [variable_set_stmt] { kind, name, args, jumble_args, is_local, location }
    VariableShowStmt { name }
    CreateStmt {
        relation, table_elts, inh_relations, partbound, partspec, of_typename, constraints, nnconstraints, options, oncommit,
        tablespacename, access_method, if_not_exists,
    }
    Constraint [constraint] {
        contype, conname, deferrable, initdeferred, is_enforced, skip_validation, initially_valid, is_no_inherit, raw_expr, cooked_expr,
        generated_when, generated_kind, nulls_not_distinct, keys, without_overlaps, including, exclusions, options, indexname, indexspace,
        reset_default_tblspc, access_method, where_clause, pktable, fk_attrs, pk_attrs, fk_with_period, pk_with_period, fk_matchtype,
        fk_upd_action, fk_del_action, fk_del_set_cols, old_conpfeqop, old_pktable_oid, location,
    }
    CreateTableSpaceStmt { tablespacename, owner, location, options }
    DropTableSpaceStmt { tablespacename, missing_ok }
    AlterTableSpaceOptionsStmt { tablespacename, options, is_reset }
    AlterTableMoveAllStmt { orig_tablespacename, objtype, roles, new_tablespacename, nowait }
    CreateExtensionStmt { extname, if_not_exists, options }
    AlterExtensionStmt { extname, options }
    AlterExtensionContentsStmt { extname, action, objtype, object }
    CreateFdwStmt { fdwname, func_options, options }
    AlterFdwStmt { fdwname, func_options, options }
    CreateForeignServerStmt { servername, servertype, version, fdwname, if_not_exists, options }
    AlterForeignServerStmt { servername, version, options, has_version }
    CreateForeignTableStmt { base_stmt, servername, options }
    CreateUserMappingStmt { user, servername, if_not_exists, options }
    AlterUserMappingStmt { user, servername, options }
    DropUserMappingStmt { user, servername, missing_ok }
    ImportForeignSchemaStmt { server_name, remote_schema, local_schema, list_type, table_list, options }
    CreatePolicyStmt { policy_name, table, cmd_name, permissive, roles, qual, with_check }
    AlterPolicyStmt { policy_name, table, roles, qual, with_check }
    CreateAmStmt { amname, handler_name, amtype }
    CreateTrigStmt [create_trig_stmt] {
        replace, isconstraint, trigname, relation, funcname, args, row, timing, events, columns, when_clause, transition_rels, deferrable,
        initdeferred, constrrel,
    }
    CreateEventTrigStmt { trigname, eventname, whenclause, funcname }
    AlterEventTrigStmt { trigname, tgenabled }
    CreatePLangStmt { replace, plname, plhandler, plinline, plvalidator, pltrusted }
    CreateRoleStmt { stmt_type, role, options }
    AlterRoleStmt { role, options, action }
    AlterRoleSetStmt { role, database, setstmt }
    DropRoleStmt { roles, missing_ok }
    CreateSeqStmt { sequence, options, owner_id, for_identity, if_not_exists }
    AlterSeqStmt { sequence, options, for_identity, missing_ok }
    DefineStmt { kind, oldstyle, defnames, args, definition, if_not_exists, replace }
    CreateDomainStmt { domainname, type_name, coll_clause, constraints }
    CreateOpClassStmt { opclassname, opfamilyname, amname, datatype, items, is_default }
    CreateOpClassItem { itemtype, name, number, order_family, class_args, storedtype }
    CreateOpFamilyStmt { opfamilyname, amname }
    AlterOpFamilyStmt { opfamilyname, amname, is_drop, items }
    DropStmt { objects, remove_type, behavior, missing_ok, concurrent }
    TruncateStmt { relations, restart_seqs, behavior }
    CommentStmt { objtype, object, comment }
    SecLabelStmt { objtype, object, provider, label }
    DeclareCursorStmt { portalname, options, query }
    ClosePortalStmt { portalname }
    FetchStmt { direction, how_many, portalname, ismove }
    IndexStmt {
        idxname, relation, access_method, table_space, index_params, index_including_params, options, where_clause, exclude_op_names,
        idxcomment, index_oid, old_number, old_create_subid, old_first_relfilelocator_subid, unique, nulls_not_distinct, primary,
        isconstraint, iswithoutoverlaps, deferrable, initdeferred, transformed, concurrent, if_not_exists, reset_default_tblspc,
    }
    CreateStatsStmt { defnames, stat_types, exprs, relations, stxcomment, transformed, if_not_exists }
    StatsElem { name, expr }
    AlterStatsStmt { defnames, stxstattarget, missing_ok }
    CreateFunctionStmt { is_procedure, replace, funcname, parameters, return_type, options, sql_body }
    FunctionParameter { name, arg_type, mode, defexpr, location }
    AlterFunctionStmt { objtype, func, actions }
    DoStmt { args }
    InlineCodeBlock { source_text, lang_oid, lang_is_trusted, atomic }
    CallStmt { funccall, funcexpr, outargs }
    CallContext { atomic }
    RenameStmt { rename_type, relation_type, relation, object, subname, newname, behavior, missing_ok }
    AlterObjectDependsStmt { object_type, relation, object, extname, remove }
    AlterObjectSchemaStmt { object_type, relation, object, newschema, missing_ok }
    AlterOwnerStmt { object_type, relation, object, newowner }
    AlterOperatorStmt { opername, options }
    AlterTypeStmt { type_name, options }
    RuleStmt { relation, rulename, where_clause, event, instead, actions, replace }
    NotifyStmt { conditionname, payload, payload_location }
    ListenStmt { conditionname }
    UnlistenStmt { conditionname }
    TransactionStmt { kind, options, savepoint_name, gid, chain, location }
    CompositeTypeStmt { typevar, coldeflist }
    CreateEnumStmt { type_name, vals }
    CreateRangeStmt { type_name, params }
    AlterEnumStmt { type_name, old_val, new_val, new_val_neighbor, new_val_is_after, skip_if_new_val_exists }
    ViewStmt { view, aliases, query, replace, options, with_check_option }
    LoadStmt { filename }
    CreatedbStmt { dbname, options }
    AlterDatabaseStmt { dbname, options }
    AlterDatabaseRefreshCollStmt { dbname }
    AlterDatabaseSetStmt { dbname, setstmt }
    DropdbStmt { dbname, missing_ok, options }
    AlterSystemStmt { setstmt }
    ClusterStmt { relation, indexname, params }
    VacuumStmt { options, rels, is_vacuumcmd }
    VacuumRelation { relation, oid, va_cols }
    ExplainStmt { query, options }
    CreateTableAsStmt { query, into, objtype, is_select_into, if_not_exists }
    RefreshMatViewStmt { concurrent, skip_data, relation }
    LockStmt { relations, mode, nowait }
    ConstraintsSetStmt { constraints, deferred }
    ReindexStmt { kind, relation, name, params }
    CreateConversionStmt { conversion_name, for_encoding_name, to_encoding_name, func_name, def }
    CreateCastStmt { sourcetype, targettype, func, context, inout }
    CreateTransformStmt { replace, type_name, lang, fromsql, tosql }
    PrepareStmt { name, argtypes, query }
    ExecuteStmt { name, params }
    DeallocateStmt { name, isall, location }
    DropOwnedStmt { roles, behavior }
    ReassignOwnedStmt { roles, newrole }
    AlterTsDictionaryStmt { dictname, options }
    AlterTsConfigurationStmt { kind, cfgname, tokentype, dicts, r#override, replace, missing_ok }
    PublicationTable { relation, where_clause, columns }
    PublicationObjSpec { pubobjtype, name, pubtable, location }
    CreatePublicationStmt { pubname, options, pubobjects, for_all_tables }
    AlterPublicationStmt { pubname, options, pubobjects, for_all_tables, action }
    CreateSubscriptionStmt { subname, conninfo, publication, options, conninfo_location }
    AlterSubscriptionStmt { kind, subname, conninfo, publication, options, conninfo_location }
    DropSubscriptionStmt { subname, missing_ok, behavior }
    AIndices { is_slice, lidx, uidx }
    DiscardStmt { target }
    AStar {}
    CheckPointStmt {}
}
