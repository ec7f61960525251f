use super::{Permission, ROLES, Role, Sight};

#[test]
fn each_role_may_exactly_what_the_table_says() {
    use Permission::{Administer, CreateToken, Ingest, Operate};
    let table: [(Role, &[Permission], Option<Sight>); 9] = [
        (Role::Ingest, &[Ingest], None),
        (Role::Administrator, &[CreateToken, Administer, Operate], Some(Sight::Public)),
        (Role::PrivacyOfficer, &[Operate], Some(Sight::Phi)),
        (Role::Auditor, &[Operate], Some(Sight::Phi)),
        (Role::Engineer, &[Operate], Some(Sight::Public)),
        (Role::ServiceOwner, &[], None),
        (Role::Patient, &[], None),
        (Role::FirstAdministrator, &[CreateToken], None),
        (Role::Machine, &[Ingest, CreateToken, Administer, Operate], Some(Sight::Phi)),
    ];
    for (role, allowed, sight) in table {
        for permission in [Ingest, CreateToken, Administer, Operate] {
            assert_eq!(role.may(permission).is_ok(), allowed.contains(&permission), "{role:?} {permission:?}");
        }
        assert_eq!(role.sight().ok(), sight, "{role:?}");
    }
}

#[test]
fn names_lead_back_to_roles_but_nobody_can_ask_for_the_inner_ones() {
    for (name, role) in ROLES {
        assert_eq!((Role::parse(name), Role::stored(name), role.name()), (Some(role), Some(role), name));
    }
    for name in ["first-administrator", "machine-administrator", "root", "", "Ingest"] {
        assert_eq!(Role::parse(name), None, "{name}");
    }
    assert_eq!(Role::stored("first-administrator"), Some(Role::FirstAdministrator));
    assert_eq!(Role::stored("machine-administrator"), None);
}
