use super::*;

#[test]
fn a_change_during_a_reading_is_not_taken_for_known() {
    let knowledge = Knowledge::default();
    assert!(!knowledge.now().1, "nothing was read yet");
    knowledge.read(Catalog::default(), knowledge.changes());
    assert!(knowledge.now().1);
    let before = knowledge.changes();
    knowledge.changed();
    knowledge.read(Catalog::default(), before);
    assert!(!knowledge.now().1);
    knowledge.read(Catalog::default(), knowledge.changes());
    assert!(knowledge.now().1);
    knowledge.lost();
    assert!(!knowledge.now().1, "it could not be read again");
}
