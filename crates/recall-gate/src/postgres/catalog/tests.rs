use super::*;

/// As PostgreSQL 15 writes the rule of `CREATE VIEW v AS SELECT p.id AS "a}b", upper(name) AS n, 1 AS one FROM patients p`, shortened.
const RULE: &str = "({QUERY :commandType 1 :querySource 0 :cteList <> :rtable ({RANGETBLENTRY :alias <> :eref {ALIAS :aliasname p :colnames (\"id\" \"name\")} :rtekind 0 :relid 16385}) :jointree {FROMEXPR :fromlist ({RANGETBLREF :rtindex 3}) :quals <>} :targetList ({TARGETENTRY :expr {VAR :varno 3 :varattno 1} :resno 1 :resname a\\}b :ressortgroupref 0 :resorigtbl 16385 :resorigcol 1 :resjunk false} {TARGETENTRY :expr {FUNCEXPR :funcid 871 :args ({VAR :varno 3 :varattno 2})} :resno 2 :resname n :ressortgroupref 0 :resorigtbl 0 :resorigcol 0 :resjunk false} {TARGETENTRY :expr {SUBLINK :subselect {QUERY :targetList ({TARGETENTRY :expr {VAR :varno 1} :resno 9 :resname x :ressortgroupref 0 :resorigtbl 16385 :resorigcol 1 :resjunk false})}} :resno 3 :resname one :ressortgroupref 0 :resorigtbl 0 :resorigcol 0 :resjunk false}) :override 0 :onConflict <>})";

#[test]
fn a_rule_names_the_origin_of_each_column_that_has_one() {
    assert_eq!(targets(RULE), [(1, (16385, 1))]);
    assert!(targets("").is_empty());
    assert!(targets("}}}{{{TARGETENTRY").is_empty());
    // Cut anywhere, it is read without a column that it does not have.
    for cut in 0..RULE.len() {
        assert!(targets(&RULE[..cut]).iter().all(|target| *target == (1, (16385, 1))), "cut at {cut}");
    }
}

fn marks(places: &[Place]) -> HashMap<Place, BTreeSet<Mark>> {
    places.iter().map(|place| (*place, BTreeSet::from([Mark::Subject]))).collect()
}

#[test]
fn views_of_views_are_followed_to_the_table() {
    let rule = |table: u32| RULE.replace("resorigtbl 16385", &format!("resorigtbl {table}"));
    let view = |oid: u32, table: u32| vec![Some(oid.to_string()), Some(rule(table))];
    let mut found = marks(&[(16385, 1)]);
    spread(&mut found, &viewed(&[view(30, 20), view(20, 16385), view(40, 99)]).unwrap());
    assert_eq!(found, marks(&[(16385, 1), (20, 1), (30, 1)]));
    assert!(viewed(&[vec![None, None]]).is_err());
}

#[test]
fn partitions_inherit_by_name_whatever_the_number() {
    let name = |table: &str, column: &str| ColumnName { schema: "public".into(), table: table.into(), column: column.into() };
    let by_name = HashMap::from([
        (name("visits", "patient"), (10, 2)),
        (name("visits_2026", "patient"), (11, 5)),
        (name("visits_2026_h1", "patient"), (12, 1)),
    ]);
    let mut found = marks(&[(10, 2)]);
    spread(&mut found, &inherited(&[(11, 12), (10, 11), (99, 98)], &by_name));
    assert_eq!(found, marks(&[(10, 2), (11, 5), (12, 1)]));
}

#[test]
fn a_circle_of_flows_comes_to_an_end_with_all_that_is_said() {
    let category = Mark::Category("ssn".into());
    let mut found = HashMap::from([((1, 1), BTreeSet::from([Mark::Subject])), ((2, 1), BTreeSet::from([category.clone()]))]);
    spread(&mut found, &[((1, 1), (2, 1)), ((2, 1), (1, 1))]);
    let both = BTreeSet::from([Mark::Subject, category]);
    assert_eq!(found, HashMap::from([((1, 1), both.clone()), ((2, 1), both)]));
}

#[test]
fn whatever_reads_what_is_protected_touches_it() {
    assert_eq!(touching(HashSet::from([1]), &[(2, 3), (1, 2), (8, 9)]), HashSet::from([1, 2, 3]));
}

#[test]
fn views_that_run_what_is_not_built_in_are_not_quiet() {
    let functions = HashSet::from(["871"]);
    let view = |oid: u32, action: String| vec![Some(oid.to_string()), Some(action)];
    let calling = |function: u32| RULE.replace(":funcid 871", &format!(":funcid {function}"));
    assert_eq!(loud(&[view(1, calling(871)), view(2, calling(16400)), view(3, " :opfuncid".into())], &functions), HashSet::from([2]));
    assert_eq!(
        loud(&[view(4, "{OPEXPR :opno 1 :opfuncid 9 :x}".into()), view(5, "{AGGREF :aggfnoid ".into())], &functions),
        HashSet::from([4, 5])
    );
    let names = HashMap::from([(1, "a".to_owned()), (2, "b".to_owned()), (3, "b".to_owned()), (4, "c".to_owned())]);
    assert_eq!(quiet(&names, &HashSet::from([2])), HashSet::from(["a".to_owned(), "c".to_owned()]));
}
