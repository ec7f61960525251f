use super::response;

#[test]
fn responses_are_those_of_another_implementation() {
    // Computed with Python's hashlib.
    assert_eq!(response(b"md5_user", b"password", [0x2a, 0x3d, 0x8f, 0xe0]), "md562af4dd09bbb41884907a838a3233294");
}

#[test]
fn user_password_and_salt_all_matter() {
    let right = response(b"nurse", b"pencil", [1, 2, 3, 4]);
    assert_eq!(right.len(), 35);
    for wrong in [
        response(b"Nurse", b"pencil", [1, 2, 3, 4]),
        response(b"nurse", b"Pencil", [1, 2, 3, 4]),
        response(b"nurse", b"pencil", [1, 2, 3, 5]),
    ] {
        assert_ne!(right, wrong);
    }
}
