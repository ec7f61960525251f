//! Where a page of results ended, as text that a client hands back unread.
//!
//! A cursor is bound to its question and authenticated, so that one that was changed, or is used with another question, is refused. Its key
//! is the trail's, so that a restart refuses none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use recall_store::seal::Mac;

/// Where a page ended, and what the first page counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The index of the page's last event: older ones are left.
    pub before: u64,
    /// How many events were counted.
    pub count: u64,
    /// Whether there are more than were counted.
    pub count_capped: bool,
    /// What relative times count from on every page, in microseconds since 1970: when the first was asked for.
    pub now: i64,
}

const BODY: usize = 25;
const TAG: usize = 16;

/// Makes cursors and reads them again.
#[derive(Clone)]
pub struct Cursors(pub Mac);

impl Cursors {
    /// The text of a cursor of `question`.
    #[must_use]
    pub fn write(&self, cursor: Cursor, question: &[&[u8]]) -> String {
        let mut bytes = Vec::with_capacity(BODY + TAG);
        bytes.extend(cursor.before.to_be_bytes());
        bytes.extend(cursor.count.to_be_bytes());
        bytes.push(u8::from(cursor.count_capped));
        bytes.extend(cursor.now.to_be_bytes());
        let tag = self.tag(&bytes, question);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor of a text that [`Cursors::write`] made for the same question.
    #[must_use]
    pub fn read(&self, text: &str, question: &[&[u8]]) -> Option<Cursor> {
        if text.len() > 64 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, tag) = bytes.split_at_checked(BODY)?;
        // Compared without an early exit, so that time tells nothing about the tag.
        let expected = self.tag(body, question);
        let differs = tag.len() != TAG || tag.iter().zip(&expected).fold(0, |sum, (a, b)| sum | (a ^ b)) != 0;
        if differs {
            return None;
        }
        let (before, rest) = body.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (capped, rest) = rest.split_first()?;
        let (now, _) = rest.split_first_chunk::<8>()?;
        Some(Cursor {
            before: u64::from_be_bytes(*before),
            count: u64::from_be_bytes(*count),
            count_capped: *capped == 1,
            now: i64::from_be_bytes(*now),
        })
    }

    fn tag(&self, body: &[u8], question: &[&[u8]]) -> [u8; TAG] {
        let mut parts: Vec<Vec<u8>> = vec![b"recall/cursor/v1".to_vec(), body.to_vec()];
        for part in question {
            parts.push((part.len() as u64).to_be_bytes().to_vec());
            parts.push(part.to_vec());
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mac = self.0.sign(&parts);
        let mut tag = [0; TAG];
        tag.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        tag
    }
}

#[cfg(test)]
mod tests;
