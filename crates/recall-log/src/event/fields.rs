//! The names of the members of the schema's objects, and how one is found among them without comparing each.

/// The members of one object of the schema.
pub(super) trait Field: Copy + 'static {
    /// All of them with their names.
    const ALL: &'static [(Self, &'static str)];
    /// Where in `ALL` a name stands.
    const PLACES: &'static Places;
}

/// A table of names by a few of their bytes; names that meet move on to the next free slot. It holds places, or `NONE`.
pub(super) struct Places([u8; SLOTS]);

/// More than twice the members of the largest object, so that most names are found where they belong.
const SLOTS: usize = 64;
const NONE: u8 = u8::MAX;

impl Places {
    /// The table of these names, of which there are fewer than slots.
    #[expect(clippy::indexing_slicing, reason = "evaluated while compiling, where a panic is an error of compilation")]
    pub(super) const fn of(names: &[&str]) -> Self {
        assert!(names.len() < SLOTS);
        let mut slots = [NONE; SLOTS];
        let mut place = 0;
        while place < names.len() {
            let mut slot = slot(names[place]);
            while slots[slot] != NONE {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = place as u8;
            place += 1;
        }
        Self(slots)
    }
}

/// Where a name belongs.
const fn slot(name: &str) -> usize {
    let bytes = name.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => (bytes.len() * 7 + *first as usize + *last as usize * 5) % SLOTS,
        _ => 0,
    }
}

/// The member of this name, its name as ours, and its place. There are free slots, so that the search ends.
#[inline]
pub(super) fn find<F: Field>(name: &str) -> Option<(F, &'static str, usize)> {
    let mut slot = slot(name);
    loop {
        let place = usize::from(*F::PLACES.0.get(slot)?);
        let (field, known) = F::ALL.get(place)?;
        if *known == name {
            return Some((*field, *known, place));
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Declares the members of one object.
macro_rules! fields {
    ($type:ident { $($field:ident = $name:literal),+ $(,)? }) => {
        #[derive(Clone, Copy)]
        enum $type { $($field),+ }

        impl $crate::event::fields::Field for $type {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$field, $name)),+];
            const PLACES: &'static $crate::event::fields::Places = &$crate::event::fields::Places::of(&[$($name),+]);
        }
    };
}
pub(super) use fields;

#[cfg(test)]
mod tests;
