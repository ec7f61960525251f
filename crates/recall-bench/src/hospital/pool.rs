//! Request bodies rendered beforehand, so that a benchmark measures the server and not the hospital.
//!
//! When all bodies have been used they are used again as other events: ids and sequence numbers are written over in place.

use super::Hospital;
use super::chance::pick;
use super::places::SOURCES;
use super::render::Marks;
use super::stream::Stream;

/// Sequence numbers begin here, so that all of them have thirteen digits and can be written over.
const FIRST_SEQ: u64 = 1_000_000_000_000;

struct Event {
    marks: Marks,
    source: usize,
    seq: u64,
}

struct Body {
    bytes: Vec<u8>,
    events: Vec<Event>,
}

/// Bodies of newline-delimited events.
pub struct Pool {
    bodies: Vec<Body>,
    /// By how much each source's numbers advance when the bodies are used again.
    strides: [u64; SOURCES.len()],
}

impl Pool {
    /// Renders up to `bodies` bodies of `events` events each.
    #[must_use]
    pub fn render(hospital: &Hospital, bodies: usize, events: usize) -> Self {
        let mut stream = Stream::new(hospital, FIRST_SEQ);
        let mut pool = Self { bodies: Vec::with_capacity(bodies), strides: [0; SOURCES.len()] };
        while pool.bodies.len() < bodies {
            let mut body = Body { bytes: Vec::with_capacity(events * 640), events: Vec::with_capacity(events) };
            while body.events.len() < events
                && let Some(facts) = stream.next_into(&mut body.bytes)
            {
                body.bytes.push(b'\n');
                let source = SOURCES.iter().position(|source| *source == facts.source).unwrap_or(0);
                if let Some(stride) = pool.strides.get_mut(source) {
                    *stride = facts.seq - FIRST_SEQ;
                }
                body.events.push(Event { marks: facts.marks, source, seq: facts.seq });
            }
            if body.events.is_empty() {
                break;
            }
            pool.bodies.push(body);
        }
        pool
    }

    /// Writes the body with this number into `out`. Any two numbers give different events.
    pub fn body(&self, number: u64, out: &mut Vec<u8>) {
        out.clear();
        let body = pick(&self.bodies, number);
        out.extend_from_slice(&body.bytes);
        let round = number / self.bodies.len() as u64;
        for event in &body.events {
            let seq = event.seq + round * self.strides.get(event.source).copied().unwrap_or(0);
            overwrite(out, event.marks.seq, seq, 13, 10);
            overwrite(out, event.marks.id, round, 6, 16);
        }
    }
}

/// Writes `width` digits of a number to base 10 or 16 over what stands at a place.
fn overwrite(out: &mut [u8], at: usize, mut number: u64, width: usize, base: u64) {
    for digit in out.get_mut(at..at + width).into_iter().flatten().rev() {
        let value = (number % base) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= base;
    }
}
